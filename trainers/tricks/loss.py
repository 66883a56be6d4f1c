"""Targets and losses over classes, of images, pixels or tokens, and how several losses are joined."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.recipe import (
    BoundaryFocal,
    DeepSupervision,
    Focal,
    LabelSmoothing,
    Loss,
    UncertaintyWeighting,
)
from trainers.data.pictures import IGNORE
from trainers.tricks.registry import implementation, implements

ClassLoss = Callable[[Tensor, Tensor], Tensor]
Weights = tuple[float, float]
"""How much of a target its class gets, and each other one."""
_FIXED = 20  # wrong classes that share epsilon in the variant `fixed`


@implements(LabelSmoothing)
def smooth(spec: LabelSmoothing, targets: Tensor) -> Tensor:
    """Moves some of every target's weight to other classes.

    Args:
        spec: How much, and to which.
        targets: (N, K) probabilities.

    Raises:
        ValueError: There is one class alone.

    Paper: Szegedy et al., 2016, 1512.00567, section 7; `others`: He et al., 2018, 1812.01187, equation 4.
    """
    classes = targets.shape[1]
    if classes < 2:
        raise ValueError(f"label smoothing needs two classes; got {classes}; set label_smoothing to null")
    spread = spec.epsilon / {"uniform": classes, "others": classes - 1, "fixed": _FIXED}[spec.variant]
    right = 1 - spec.epsilon + (spread if spec.variant == "uniform" else 0.0)
    return targets * (right - spread) + spread


def weights_of(spec: LabelSmoothing, classes: int) -> Weights:
    """Returns how much of a smoothed target the right class gets, and each wrong one.

    Args:
        spec: How much is moved, and to which.
        classes: Their number.

    Raises:
        ValueError: There is one class alone.
    """
    right, wrong = implementation(spec)(torch.eye(1, classes)).expand(1, -1)[0, :2].tolist()
    return right, wrong


def loss_of(spec: Loss | None, smoothing: LabelSmoothing | None = None, classes: int = 0) -> ClassLoss:
    """Returns the loss that a recipe asks for: a function of logits and targets as those of `cross_entropy`.

    Args:
        spec: Which; None: cross-entropy.
        smoothing: Of targets that are classes: none is written out, for many places or classes.
        classes: Their number, where they are smoothed.

    Raises:
        ValueError: There is one class alone to smooth.
    """
    found: Callable[..., Tensor] = cross_entropy if spec is None else implementation(spec)
    return found if smoothing is None else functools.partial(found, weights=weights_of(smoothing, classes))


def cross_entropy(logits: Tensor, targets: Tensor, weights: Weights | None = None) -> Tensor:
    """Returns the mean cross-entropy over all places that are not ignored, 0 where there are none.

    Args:
        logits: (N, K, ...).
        targets: (N, ...) classes, of pixels `IGNORE` for none, or (N, K, ...) probabilities.
        weights: Of the right class and of each wrong one, where targets are classes; None: 1 and 0.
    """
    if weights is not None:
        valid = _valid(targets)
        each = smoothed_cross_entropy(logits, torch.where(valid, targets, 0), weights)
        mean: Tensor = (each * valid).sum() / valid.sum().clamp(min=1)
        return mean
    if targets.is_floating_point():
        return F.cross_entropy(logits, targets)
    if logits.dim() == 2:
        return F.cross_entropy(logits, targets)
    total = F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="sum")
    return total / (targets != IGNORE).sum().clamp(min=1)


def smoothed_cross_entropy(logits: Tensor, targets: Tensor, weights: Weights) -> Tensor:
    """Returns the cross-entropy of every place with smoothed classes, (N, ...).

    Args:
        logits: (N, K, ...).
        targets: (N, ...) classes.
        weights: Of the right class and of each wrong one.
    """
    right, wrong = weights
    logs = F.log_softmax(logits.float(), dim=1)
    own = logs.gather(1, targets.unsqueeze(1)).squeeze(1)
    return (wrong - right) * own - wrong * logs.sum(1)


@implements(Focal)
def focal(spec: Focal, logits: Tensor, targets: Tensor, weights: Weights | None = None) -> Tensor:
    """Returns the mean focal loss over one choice among K classes; arguments as those of `cross_entropy`.

    Paper: Lin et al., 2017, 1708.02002, equation 5, with the softmax's probability of the target.
    """
    values, valid = _focal_map(logits, targets, spec.gamma, weights)
    return values.sum() / valid.sum().clamp(min=1) * (1.0 if spec.alpha is None else spec.alpha)


@implements(BoundaryFocal)
def boundary_focal(spec: BoundaryFocal, logits: Tensor, targets: Tensor, weights: Weights | None = None) -> Tensor:
    """Returns the mean of the focal loss of pixels times their weights.

    Args:
        spec: Its weights.
        logits: (N, K, H, W).
        targets: (N, H, W) classes or `IGNORE`.
        weights: Of the right class and of each wrong one; None: 1 and 0.
    """
    values, valid = _focal_map(logits, targets, spec.gamma, weights)
    return (values * boundary_weights(spec, targets)).sum() / valid.sum().clamp(min=1)


def boundary_weights(spec: BoundaryFocal, masks: Tensor) -> Tensor:
    """Returns the weight of every pixel, (N, H, W), from `spec.weight` at a boundary down to 1.

    Args:
        spec: Bands and weight.
        masks: (N, H, W) classes or `IGNORE`, which has no boundary.
    """
    near = edges_of(masks).float().unsqueeze(1)
    nearer = torch.zeros_like(near)
    for band in range(spec.bands):
        side = 2 * spec.width * band + 1
        nearer += F.max_pool2d(near, side, stride=1, padding=side // 2)
    return 1 + (spec.weight - 1) * nearer.squeeze(1) / spec.bands


def edges_of(masks: Tensor, width: int = 1) -> Tensor:
    """Returns the pixels next to another class, (N, H, W) bool, and those within `width` - 1 pixels of them.

    Args:
        masks: (N, H, W) classes; next to `IGNORE` there is no edge, and on it neither.
        width: In pixels.
    """
    edges = torch.zeros_like(masks, dtype=torch.bool)
    for dim in (1, 2):
        ahead, behind = masks.narrow(dim, 1, masks.shape[dim] - 1), masks.narrow(dim, 0, masks.shape[dim] - 1)
        differ = (ahead != behind) & (ahead != IGNORE) & (behind != IGNORE)
        edges.narrow(dim, 1, masks.shape[dim] - 1).logical_or_(differ)
        edges.narrow(dim, 0, masks.shape[dim] - 1).logical_or_(differ)
    if width > 1:
        grown = F.max_pool2d(edges.float().unsqueeze(1), 2 * width - 1, stride=1, padding=width - 1)
        edges = grown.squeeze(1).bool()
    return edges & (masks != IGNORE)


def _valid(targets: Tensor) -> Tensor:
    """Returns where there is a class to learn; only pixels may be without."""
    return targets != IGNORE if targets.dim() > 1 else torch.ones_like(targets, dtype=torch.bool)


def _focal_map(logits: Tensor, targets: Tensor, gamma: float, weights: Weights | None) -> tuple[Tensor, Tensor]:
    """Returns (1 - p)^gamma times the cross-entropy of every place, (N, ...), 0 where it is ignored, and where not."""
    logs = F.log_softmax(logits.float(), dim=1)
    if targets.is_floating_point():
        valid = torch.ones_like(logs[:, 0], dtype=torch.bool)
        return (_focal(logs, gamma) * targets).sum(1), valid
    valid = _valid(targets)
    places = torch.where(valid, targets, 0).unsqueeze(1)
    if weights is None:
        return _focal(logs.gather(1, places), gamma).squeeze(1) * valid, valid
    right, wrong = weights
    each = _focal(logs, gamma)
    own = each.gather(1, places).squeeze(1)
    return (wrong * each.sum(1) + (right - wrong) * own) * valid, valid


def _focal(logs: Tensor, gamma: float) -> Tensor:
    # 1 - p may come out below 0, by rounding, and its power has no gradient at 0.
    return -logs if gamma == 0 else -logs * (1 - logs.exp()).clamp(min=1e-7) ** gamma


def sigmoid_focal(logits: Tensor, targets: Tensor, gamma: float, alpha: float | None) -> Tensor:
    """Returns the focal loss of independent yes-or-no questions, one value each.

    Args:
        logits: Of any shape.
        targets: 0 or 1, or between; of the same shape.
        gamma: How much easy ones are played down.
        alpha: Weight of ones against 1 - alpha of zeros; None: both 1.

    Paper: Lin et al., 2017, 1708.02002, equation 5.
    """
    logits = logits.float()
    loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    if gamma != 0:
        p = torch.sigmoid(logits)
        loss = loss * (p + targets - 2 * p * targets).clamp(min=1e-7) ** gamma
    return loss if alpha is None else loss * (alpha * targets + (1 - alpha) * (1 - targets))


@implements(DeepSupervision)
def deep_supervision(spec: DeepSupervision, losses: Sequence[Tensor]) -> Tensor:
    """Returns the loss of all heads.

    Args:
        spec: Their weights.
        losses: Scalars, that of the main head first.
    """
    weights = [1.0, *(spec.weight * spec.decay**i for i in range(len(losses) - 1))]
    return torch.stack([weight * loss for weight, loss in zip(weights, losses, strict=True)]).sum()


@implements(UncertaintyWeighting)
class Uncertainty(nn.Module):
    """Joins losses by learned weights.

    Args:
        spec: Where the logarithms of the variances start.
        losses: Names of the losses, and whether each is of a regression.
        device: A torch device.
    """

    def __init__(self, spec: UncertaintyWeighting, losses: Mapping[str, bool], device: str = "cpu") -> None:
        super().__init__()
        self.names = tuple(losses)
        self.log_variance = nn.Parameter(torch.full((len(losses),), spec.initial, device=device))
        halves = torch.tensor([0.5 if losses[name] else 1.0 for name in self.names], device=device)
        self._halves = halves

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Returns the sum of exp(-s) L + s, halved for regressions.

        Args:
            losses: Scalars by name, all that were announced.

        Paper: Kendall et al., 2018, 1705.07115, equations 7 and 10.
        """
        values = torch.stack([losses[name].float() for name in self.names])
        return (self._halves * (torch.exp(-self.log_variance) * values + self.log_variance)).sum()


def missing(trick: str, name: str) -> ValueError:
    """Returns the error for a network without an output that the recipe needs.

    Args:
        trick: Field of the recipe.
        name: The output.
    """
    return ValueError(f"{trick} needs a network with {name}; set {trick} to null, or choose a network that has it")
