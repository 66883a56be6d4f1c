"""Zero-cost proxies: what an untrained network says of itself on one minibatch.

Of each, a greater value is better. Kernels are the weights with two dimensions and more: of convolutions and linear
layers. Where nothing else is said, batch norms use the minibatch, as in training.

Paper: Abdelfattah et al., 2021, arXiv 2101.08134, section 3.2, which compares them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.hooks import RemovableHandle

from trainers.data.base import ImageSet
from trainers.data.splits import Part
from trainers.determinism import Generators
from trainers.learners.classification import Images
from trainers.trial import Report, TrialContext
from trainers.tricks.augment import normalized

if TYPE_CHECKING:
    from trainers.tasks.classification import Classifier

ROWS = 64
"""Images of the minibatch, the same for all candidates of a search."""
_JITTER = 1e-5
_RECTIFIERS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SELU,
    nn.CELU,
    nn.SiLU,
    nn.GELU,
    nn.Mish,
    nn.Hardswish,
)
_NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)


def kernels(network: nn.Module) -> list[Tensor]:
    """Returns the weights that the proxies look at."""
    return [weight for weight in network.parameters() if weight.dim() > 1 and weight.requires_grad]


def gradients(network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Returns `grad_norm` and `snip`, from one gradient of the loss.

    `grad_norm` is the sum over kernels of the Euclidean norm of the gradient; `snip` the sum over their weights of
    |gradient x weight|.

    Args:
        network: In training mode.
        images: (N, C, H, W).
        labels: (N,) class indexes.

    Paper: Abdelfattah et al., 2021, arXiv 2101.08134, section 3.2; snip: Lee et al., 2019, arXiv 1810.02340,
        section 4.1. Deviation: Lee et al. divide by the sum over the network, which is the score here.
    """
    weights = kernels(network)
    loss = F.cross_entropy(network(images)["out"], labels)
    found = [
        (weight.detach(), gradient)
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights, allow_unused=True), strict=True)
        if gradient is not None
    ]
    return {
        "grad_norm": sum(gradient.norm().item() for _, gradient in found),
        "snip": sum((gradient * weight).abs().sum().item() for weight, gradient in found),
    }


def synflow(network: nn.Module, input_shape: tuple[int, ...]) -> float:
    """Returns the sum over kernels of weight x gradient, for weights made positive and an input of ones.

    It does not look at data: R is the sum of the outputs of the network whose weights are |w|, without batch norms and
    biases; the score is the sum of w dR/dw.

    Args:
        network: Its weights are changed, to positive ones in double precision.
        input_shape: (C, H, W) of one image.

    Paper: Tanaka et al., 2020, arXiv 2006.05467, algorithm 1; summed as in Abdelfattah et al., 2021, arXiv 2101.08134,
        section 3.2, without batch norms as there. Deviation: biases are zero, as in the definition of R; the authors'
        code makes them positive.
    """
    network.eval().double()
    with torch.no_grad():
        for weight in network.parameters():
            weight.abs_() if weight.dim() > 1 else weight.zero_()
    for module in network.modules():
        if isinstance(module, _NORMS):
            module.forward = _same  # type: ignore[method-assign]
    weights = kernels(network)
    device = next((weight.device for weight in weights), None)
    total = network(torch.ones((1, *input_shape), dtype=torch.float64, device=device)).sum()
    found = torch.autograd.grad(total, weights, allow_unused=True)
    pairs = zip(weights, found, strict=True)
    return sum((weight.detach() * gradient).sum().item() for weight, gradient in pairs if gradient is not None)


def jacob_cov(network: nn.Module, images: Tensor) -> float:
    """Returns how unlike one another the gradients of the outputs by the inputs are.

    With v_i the eigenvalues of the (N, N) correlation matrix of the rows of the Jacobian, (N, C * H * W), the score is
    -sum(log(v_i + k) + 1 / (v_i + k)), k = 1e-5.

    Args:
        network: In training mode.
        images: (N, C, H, W).

    Paper: Mellor et al., 2020, arXiv 2006.04647, version 1, section 3.
    """
    inputs = images.detach().requires_grad_()
    outputs = network(inputs)["out"]
    if not outputs.requires_grad:
        return math.nan
    (found,) = torch.autograd.grad(outputs.sum(), inputs, allow_unused=True)
    return math.nan if found is None else jacobian_score(found.flatten(1))


def jacobian_score(rows: Tensor) -> float:
    """Returns the score of a Jacobian, (N, D); NaN where a row has no variance."""
    matrix = torch.corrcoef(rows.double())
    if not matrix.isfinite().all():
        return math.nan
    values = torch.linalg.eigvalsh(matrix) + _JITTER
    return float(-(values.log() + 1 / values).sum())


@torch.no_grad()
def nwot(network: nn.Module, images: Tensor) -> float:
    """Returns the logarithm of the determinant of the kernel of activation patterns.

    Entry i, j of the (N, N) kernel counts the units of rectifiers that are on for both images i and j, or off for both.

    Args:
        network: In training mode.
        images: (N, C, H, W).

    Paper: Mellor et al., 2021, arXiv 2006.04647, version 3, section 3, equation 2.
        Deviation: smooth rectifiers such as SiLU count by the sign of their output, too.
    """
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)

    def count(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        on = (output.flatten(1) > 0).float()
        kernel.add_((on @ on.T + (1 - on) @ (1 - on).T).double())

    handles = [module.register_forward_hook(count) for module in network.modules() if isinstance(module, _RECTIFIERS)]
    try:
        network(images)
    finally:
        _remove(handles)
    sign, value = torch.linalg.slogdet(kernel)
    return value.item() if sign > 0 else -math.inf


def _remove(handles: list[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()


def _same(x: Tensor) -> Tensor:
    return x


def proxies(network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Returns all proxies by name, those that are finite; a network without a path from its input has not all.

    Args:
        network: Untrained; is changed.
        images: (N, C, H, W).
        labels: (N,) class indexes.
    """
    network.train()
    found = {"nwot": nwot(network, images), "jacob_cov": jacob_cov(network, images)}
    found |= gradients(network, images, labels)
    found["synflow"] = synflow(network, tuple(images.shape[1:]))
    return {f"proxy/{name}": value for name, value in sorted(found.items()) if math.isfinite(value)}


def score(spec: Classifier, trial: TrialContext, data: ImageSet) -> Iterator[Report]:
    """Reports the proxies of a network with fresh weights, once.

    Args:
        spec: The realized candidate.
        trial: Its seed makes the weights; that of the search chooses the images.
        data: The images, of whose training part some are taken.
    """
    torch.set_num_threads(trial.threads)
    rows = np.flatnonzero(data.parts == Part.TRAIN)
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(trial.common.seed))[:ROWS]
    images = Images(normalized(spec.recipe, data), rows, trial.device, channels_last=False)
    with Generators(trial.seed, trial.device):
        network = spec.architecture.build(data.input_shape, len(data.classes)).to(trial.device)
        chosen = chosen.to(trial.device)
        found = proxies(network, images[chosen], images.labels.index_select(0, chosen))
    yield Report(1, found, done=True)
