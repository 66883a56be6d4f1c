"""What guided anchoring learns beside classes and boxes: where objects have their middle, and which shape they have."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.recipe.boxes import GuidedLoss
from trainers.tricks.assignment import BACKGROUND, IGNORED, OBJECT, Assigned
from trainers.tricks.loss import sigmoid_focal
from trainers.tricks.registry import implements

if TYPE_CHECKING:
    from trainers.tricks.objects import Objects

_GAMMA, _ALPHA = 2.0, 0.25  # of the focal loss of locations


@implements(GuidedLoss)
def guided_losses(
    spec: GuidedLoss, assign: Callable[..., Assigned], found: dict[str, Any], objects: Objects
) -> dict[str, Tensor]:
    """Returns the losses of locations and shapes, by name.

    Args:
        spec: Their weights, and the regions.
        assign: Implementation of an `Assignment`: which object the boxes sampled at a position are for.
        found: What the network returned in train mode, with the outputs of a guided head.
        objects: Of the same images.
    """
    state = regions(spec, found["squares"], found["levels"], found["steps"], objects)
    each = sigmoid_focal(found["location"], (state == OBJECT).float(), _GAMMA, _ALPHA)
    location = (each * (state != IGNORED)).sum() / (state == OBJECT).sum().clamp(min=1)
    samples, squares = found["samples"], found["squares"]
    group = len(samples) // len(squares)
    assigned = assign(samples, objects.boxes, objects.counts, objects.ignored, group=group)
    chosen = objects.chosen(assigned, assigned.state == OBJECT)
    right = objects.boxes[chosen.rows, chosen.objects]
    sides = (squares[:, 2:] - squares[:, :2])[chosen.places]
    gaps = found["shapes"][chosen.rows, chosen.places] - ((right[:, 2:] - right[:, :2]) / sides).log()
    shape = (bounded_iou(gaps).sum(-1) * chosen.weights).sum() / chosen.weights.sum().clamp(min=1)
    return {"location_loss": spec.location * location, "shape_loss": spec.shape * shape}


def bounded_iou(gaps: Tensor) -> Tensor:
    """Returns what sides cost whose logarithms are wrong by `gaps`, of the same shape.

    Paper: Wang et al., 2019, 1901.03278, equation 5: smooth L1 of 1 - min(w / w', w' / w).
    """
    errors = 1 - torch.exp(-gaps.abs())
    return F.smooth_l1_loss(errors, torch.zeros_like(errors), reduction="none")


def regions(spec: GuidedLoss, squares: Tensor, levels: Tensor, steps: Tensor, objects: Objects) -> Tensor:
    """Returns whether a position is the middle of an object, does not count, or is background, (N, A).

    Args:
        spec: The sides of the regions.
        squares: The boxes that shapes start from, (A, 4); an object belongs to the level whose squares it is most like.
        levels: Number of the level of each position, from 0, (A,).
        steps: Pixels for a step on it, (A,).
        objects: Of N images.
    """
    count = int(levels.max()) + 1
    first = torch.searchsorted(levels, torch.arange(count, device=levels.device))
    sides = (squares[first, 2] - squares[first, 0]).log()
    size = objects.boxes[..., 2:] - objects.boxes[..., :2]
    mean = size.prod(-1).clamp(min=1e-6).log() / 2
    own = (mean.unsqueeze(-1) - sides).abs().argmin(-1)  # (N, M)
    middle = (objects.boxes[..., :2] + objects.boxes[..., 2:]) / 2
    apart = ((squares[:, :2] + squares[:, 2:]) / 2 - middle.unsqueeze(2)).abs()  # (N, M, A, 2)

    def within(share: float) -> Tensor:
        # One position at least, whatever the share.
        reach = torch.maximum(share * size.unsqueeze(2), steps.unsqueeze(-1)) / 2
        return (apart <= reach).all(-1)

    away = (levels - own.unsqueeze(-1)).abs()
    there = objects.counts.unsqueeze(-1)
    centre = (within(spec.centre) & (away == 0) & there).any(1)
    ignored = (within(spec.ignored) & (away <= 1) & there).any(1)
    if objects.ignored is not None:
        ignored |= (within(1.0) & objects.ignored.unsqueeze(-1)).any(1)
    return torch.where(centre, OBJECT, torch.where(ignored, IGNORED, BACKGROUND))
