"""Claim: a DARTS step of architecture and weights takes at most 1/1.3 of the time of NNI's, and 0.7 of its memory.

First order, 8 cells, 16 channels, images of 32x32, batches of 16 on the processor (64 on an accelerator). Both sides
train in processes of their own, on as many threads; a step is one of the architecture on a held-out batch, then one of
the weights. Ours is the supernet and the updater as trials have them. NNI's is `nni.nas.hub.pytorch.DARTS` under
`nni.nas.strategy.DARTS`'s own lightning module, whose training step is called as its trainer does, without the trainer.

- nni: as NNI ships it: pools without a norm, `none` as a map of zeros.
- nni-norms: with the norms behind pools that the paper has, and that ours has: as much work, and equal outputs.
- memory: the largest resident set of the process, over what it was before the first step.
- equal: the largest difference of the logits of all images of a batch, ours against nni-norms, with equal weights and
  equal logits, over the largest logit.

What makes it so, in the order of what it saves: maps lie channels last, where pools, norms and depthwise convolutions
are several times as fast; a step of the architecture computes no gradients of weights, and one of the weights none of
logits; convolutions of dilation 2 are plain ones on four phases of a map, for which the processor has fast kernels,
backwards too; pools and ReLUs are computed once a map, not once an edge; weighted normalised maps are summed without
being made, and none is stacked or kept.

NNI needs pytorch-lightning, which nothing else does: `pip install --target FOLDER pytorch-lightning`, and FOLDER in
PYTHONPATH, or the extra `benchmark`.

    python -m benchmarks.supernet_step [--batch 16] [--steps 5] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.record import keep

CELLS, CHANNELS, SIZE, CLASSES = 8, 16, 32, 10
FASTER, SMALLER, CLOSE = 1.3, 0.7, 1e-3
SIDES = ("ours", "nni", "nni-norms")
OPERATIONS = {
    "max3": "max_pool_3x3",
    "avg3": "avg_pool_3x3",
    "skip": "skip_connect",
    "sep3": "sep_conv_3x3",
    "sep5": "sep_conv_5x5",
    "dil3": "dil_conv_3x3",
    "dil5": "dil_conv_5x5",
}
Step = Callable[[tuple[Tensor, Tensor], tuple[Tensor, Tensor]], None]


def our_network() -> Any:
    """Our supernet."""
    from search_spaces.architectures.darts import darts

    return darts(layers=CELLS, channels=CHANNELS).relax((3, SIZE, SIZE), CLASSES)


def weights_optimizer(weights: Any) -> torch.optim.Optimizer:
    """SGD as the paper has it."""
    return torch.optim.SGD(weights, 0.025, momentum=0.9, weight_decay=3e-4)


def our_step(network: Any) -> Step:
    """A step of the architecture and one of the weights, as a trial takes them."""
    from types import SimpleNamespace

    from controllers.gradient.controller import DartsConfig
    from search_spaces.architectures.darts import darts

    updater = DartsConfig().updater(darts(layers=CELLS, channels=CHANNELS))
    updater.start(network, 0)
    optimizer = weights_optimizer(network.parameters())

    def loss(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return F.cross_entropy(network(batch[0])["out"], batch[1]), {}

    def step(train: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor]) -> None:
        moment = SimpleNamespace(
            network=network, optimizer=optimizer, loss=loss, batch=train, held_out=lambda: held_out, progress=0.0
        )
        moment.learns = True
        updater.before_step(moment)
        optimizer.zero_grad(set_to_none=True)
        loss(train)[0].backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()

    return step


def nni_module(norms: bool) -> Any:
    """NNI's supernet under its own lightning module."""
    from nni.nas.evaluator.pytorch.lightning import ClassificationModule
    from nni.nas.hub.pytorch import DARTS, nasnet
    from nni.nas.oneshot.pytorch import strategy as strategies
    from nni.nas.oneshot.pytorch.differentiable import DartsLightningModule

    if norms:
        for name in ("max_pool_3x3", "avg_pool_3x3"):
            nasnet.OPS[name] = _normed(nasnet.OPS[name])
    space = DARTS(width=CHANNELS, num_cells=CELLS, dataset="cifar")
    mutated = strategies.DARTS().mutate_model(space)
    module = ClassificationModule(learning_rate=0.025, weight_decay=3e-4, num_classes=CLASSES)
    module.set_model(mutated)
    return DartsLightningModule(module, gradient_clip_val=5.0)


def _normed(make: Any) -> Any:
    def made(channels: int, stride: int, affine: bool) -> nn.Module:
        return nn.Sequential(make(channels, stride, affine), nn.BatchNorm2d(channels, affine=False))

    return made


def nni_step(module: Any) -> Step:
    """The two phases of `DartsLightningModule.training_step`, with the optimizers that its trainer would hold."""
    logits = module.arch_parameters()
    known = {id(each) for each in logits}
    architecture = module.configure_architecture_optimizers()
    weights = [p for p in module.training_module.parameters() if id(p) not in known]
    optimizer = weights_optimizer(weights)
    network = module.training_module.model

    def step(train: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor]) -> None:
        module.resample()
        architecture.zero_grad()
        F.cross_entropy(network(held_out[0]), held_out[1]).backward()
        architecture.step()
        module.resample()
        optimizer.zero_grad()
        F.cross_entropy(network(train[0]), train[1]).backward()
        nn.utils.clip_grad_norm_(weights, 5.0)
        optimizer.step()

    return step


def with_our_weights(ours: Any, module: Any) -> None:
    """Gives NNI's supernet the weights and logits of ours."""
    from search_spaces.architectures.darts import PRIMITIVES

    theirs = module.training_module.model
    cells = [cell for stage in theirs.stages for cell in _cells(stage)]
    pairs = [(ours.stem, theirs.stem), (ours.classifier, theirs.classifier)]
    order = [*range(1, len(PRIMITIVES)), 0]  # NNI has `none` at the end
    for sort, mine, other in zip(ours.sorts, ours.cells, cells, strict=True):
        pairs += [(mine.inputs.before, other.preprocessor.pre0), (mine.inputs.last, other.preprocessor.pre1)]
        edges = [(i, j) for i in range(len(other.ops)) for j in range(i + 2)]
        for edge, (i, j) in enumerate(edges):
            for name, made in mine.edges[edge].items():
                pairs.append((made, other.ops[i][j][OPERATIONS[name]]))
            row = ours.logits[sort][edge].detach()[order]
            other._arch_alpha[f"{other.label}/{i + 2}_{j}"].data.copy_(row)
    for mine, other in pairs:
        for one, two in zip(_weighty(mine), _weighty(other), strict=True):
            two.weight.data.copy_(one.weight.data)
            if one.bias is not None:
                two.bias.data.copy_(one.bias.data)


def _cells(stage: Any) -> list[Any]:
    from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedCell

    return [module for module in stage.modules() if isinstance(module, DifferentiableMixedCell)]


def _weighty(module: nn.Module) -> list[Any]:
    return [each for each in module.modules() if isinstance(each, nn.Conv2d | nn.Linear)]


def difference(batch: int, device: str) -> float:
    """The largest difference of the logits of a batch of noise, over the largest logit."""
    torch.manual_seed(0)
    ours, module = our_network().to(device), nni_module(norms=True).to(device)
    with_our_weights(ours, module)
    images = torch.randn(batch, 3, SIZE, SIZE, device=device)
    with torch.no_grad():
        mine, other = ours(images)["out"], module.training_module.model.train()(images)
    return float((mine - other).abs().max() / other.abs().max())


def resident() -> float:
    """The largest resident set so far, in MiB; on macOS the system counts bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def measure(side: str, options: argparse.Namespace) -> dict[str, float]:
    """Seconds of the median step, and memory in MiB, of one side; in a process that has done nothing else."""
    torch.manual_seed(0)
    device = options.device
    if side == "ours":
        network = our_network().to(device).train()
        step = our_step(network)
    else:
        module = nni_module(norms=side == "nni-norms").to(device).train()
        step = nni_step(module)
    images = torch.randn(2, options.batch, 3, SIZE, SIZE, device=device)
    labels = torch.randint(CLASSES, (2, options.batch), device=device)
    train, held_out = ((images[i], labels[i]) for i in range(2))
    before, seconds, worked = resident(), [], []
    for _ in range(options.steps + 1):
        began, busy = time.perf_counter(), time.process_time()
        step(train, held_out)
        if device != "cpu":
            torch.accelerator.synchronize()
        seconds.append(time.perf_counter() - began)
        worked.append(time.process_time() - busy)
    memory = resident() - before if device == "cpu" else torch.accelerator.max_memory_allocated() / 1024**2
    return {
        "seconds": statistics.median(seconds[1:]),
        "processor_seconds": statistics.median(worked[1:]),
        "memory_mib": memory,
        "resident_mib": resident(),
    }


def main() -> int:
    """Measure all sides, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--side", choices=(*SIDES, "equal"), help="one side alone, as JSON on the last line")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.side:
        equal = options.side == "equal"
        print(json.dumps(difference(options.batch, options.device) if equal else measure(options.side, options)))
        return 0
    found: dict[str, Any] = {}
    for side in (*SIDES, "equal"):
        command = [sys.executable, "-m", "benchmarks.supernet_step", "--side", side]
        for name in ("batch", "steps", "threads", "device"):
            command += [f"--{name}", str(getattr(options, name))]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found[side] = json.loads(output.splitlines()[-1])
        print(side, found[side], flush=True)
    ours, theirs = found["ours"], found["nni"]
    found["times_as_fast"] = theirs["seconds"] / ours["seconds"]
    found["share_of_memory"] = ours["memory_mib"] / theirs["memory_mib"]
    print(f"{found['times_as_fast']:.2f} times as fast, {found['share_of_memory']:.2f} of the memory")
    fits = found["times_as_fast"] >= FASTER and found["share_of_memory"] <= SMALLER
    holds = bool(fits and found["equal"] <= CLOSE)
    keep("supernet_step", {"holds": holds, **vars(options), **found})
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
