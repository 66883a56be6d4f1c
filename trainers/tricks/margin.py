"""Angular margins: the linear classifier compares directions, and the target's must be right by a margin."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.build import classifier_of
from search_spaces.recipe import AngularSoftmax, ArcFace
from trainers.tricks.registry import implements

_RIM = 1e-6  # cosines stay this far from -1 and 1, where the angle has no gradient


class _Angles:
    """Watches the linear classifier of a network: its input, and the cosines of the angles with its rows.

    Args:
        network: A network with a linear classifier.

    Raises:
        ValueError: It has none.
    """

    def __init__(self, network: nn.Module) -> None:
        classifier = classifier_of(network)
        if not isinstance(classifier, nn.Linear):
            raise ValueError("margin needs a network whose classifier is a linear layer; set margin to null")
        self._linear = classifier
        self._inputs: Tensor | None = None
        self.constrain()
        # Before the layer, so that a network that was drawn anew is right from the first forward on.
        self._linear.register_forward_pre_hook(self._before)
        # Behind it, so that it sees what dropout left, whichever was hooked first.
        self._linear.register_forward_hook(self._watch)

    @torch.no_grad()
    def constrain(self) -> None:
        """Puts rows back to length 1 and biases to 0: the loss knows of neither, so that steps hardly move them."""
        self._linear.weight.copy_(F.normalize(self._linear.weight))
        if self._linear.bias is not None:
            self._linear.bias.zero_()

    def _before(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.constrain()

    def _watch(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        if module.training:
            self._inputs = inputs[0]

    def _angles(self) -> tuple[Tensor, Tensor]:
        """Returns the cosines (N, K) and the lengths of the inputs (N, 1), of the last forward in train mode."""
        assert self._inputs is not None
        with torch.autocast(self._inputs.device.type, enabled=False):
            x = self._inputs.float()
            length = x.norm(dim=1, keepdim=True)
            return F.linear(F.normalize(x), F.normalize(self._linear.weight)), length


@implements(ArcFace)
class ArcFaceMargin(_Angles):
    """Additive angular margin."""

    def __init__(self, spec: ArcFace, network: nn.Module) -> None:
        super().__init__(network)
        self.spec = spec

    def __call__(self, shares: Tensor, progress: float) -> Tensor:
        """Returns the logits (N, K) of the last batch.

        Args:
            shares: (N, K), how much of the margin each class gets: 1 for the target; between where labels are mixed.
            progress: Share of training done; the margin stays as it is.
        """
        cos, _ = self._angles()
        return self.spec.scale * torch.lerp(cos, arcface(cos, self.spec.margin, self.spec.easy), shares)


def arcface(cos: Tensor, margin: float, easy: bool) -> Tensor:
    """Returns cos(theta + margin) where that is monotone, and beyond what the authors' code has there.

    Args:
        cos: Cosines of theta, of any shape.
        margin: In radians.
        easy: Leaves theta above pi / 2 alone.

    Paper: Deng et al., 2019, 1801.07698, equation 3.
    """
    if margin == 0:
        return cos
    sin = (1 - cos.square()).clamp(min=_RIM**2).sqrt()
    moved = cos * math.cos(margin) - sin * math.sin(margin)
    if easy:
        return torch.where(cos > 0, moved, cos)
    return torch.where(cos > math.cos(math.pi - margin), moved, cos - margin * math.sin(math.pi - margin))


@implements(AngularSoftmax)
class AngularMargin(_Angles):
    """Multiplicative angular margin, mixed with the plain angle less and less."""

    def __init__(self, spec: AngularSoftmax, network: nn.Module) -> None:
        super().__init__(network)
        self.spec = spec

    def __call__(self, shares: Tensor, progress: float) -> Tensor:
        """Returns the logits (N, K) of the last batch.

        Args:
            shares: As for ArcFace.
            progress: Share of training done: lambda falls geometrically from its start to its end.
        """
        start, end = self.spec.start, self.spec.end
        weight = start * (end / start) ** progress if start > 0 and end > 0 else start + (end - start) * progress
        cos, length = self._angles()
        target = (weight * cos + psi(cos, self.spec.margin)) / (1 + weight)
        return length * torch.lerp(cos, target, shares)


def psi(cos: Tensor, margin: int) -> Tensor:
    """Returns (-1)^k cos(m theta) - 2 k for theta in [k pi / m, (k + 1) pi / m].

    Args:
        cos: Cosines of theta, of any shape.
        margin: m.

    Paper: Liu et al., 2017, 1704.08063, section 3.2.
    """
    if margin == 1:
        return cos
    theta = cos.clamp(-1 + _RIM, 1 - _RIM).acos()
    k = (theta.detach() * margin / math.pi).floor().clamp(max=margin - 1)
    return (1 - 2 * (k % 2)) * torch.cos(margin * theta) - 2 * k
