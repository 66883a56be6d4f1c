"""Which anchors or proposals answer for which boxes, and which of them count; whole padded batches at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces.operators.boxes import area, iou_matrix
from search_spaces.recipe.boxes import (
    Assignment,
    BalancedSampling,
    HardNegatives,
    IouAssignment,
    LooseAssignment,
    ScaleCompensation,
)
from trainers.tricks.registry import implements

OBJECT, BACKGROUND, IGNORED = 1, 0, -1
_LARGEST = 2**23  # overlaps held at once


@dataclass(frozen=True)
class Assigned:
    """What each of A candidates is to find.

    Args:
        state: `OBJECT`, `BACKGROUND` or `IGNORED`, (N, A) int64.
        index: Place of the box among those of its image, (N, A) int64; of no meaning without an object.
    """

    state: Tensor
    index: Tensor


@implements(IouAssignment)
def assign(
    spec: Assignment, candidates: Tensor, boxes: Tensor, counts: Tensor, ignored: Tensor | None, group: int = 1
) -> Assigned:
    """Assigns boxes by overlap.

    Args:
        spec: The thresholds.
        candidates: Anchors (A, 4) of every image, or proposals (N, A, 4).
        boxes: (N, M, 4), M at least 1.
        counts: Whether a box is to be found, (N, M); padding is not.
        ignored: Whether a box is of an object that does not count, (N, M); None: there are none.
        group: So many candidates, one behind another, are one, which overlaps a box as much as the best of them.
    """
    return _in_parts(_assign, spec, candidates, boxes, counts, ignored, group)


@implements(LooseAssignment)
def assign_loosely(
    spec: LooseAssignment, candidates: Tensor, boxes: Tensor, counts: Tensor, ignored: Tensor | None, group: int = 1
) -> Assigned:
    """Assigns boxes by overlap, of which small boxes need less; arguments as those of `assign`."""
    return _in_parts(_assign, spec, candidates, boxes, counts, ignored, group)


@implements(ScaleCompensation)
def compensate(
    spec: ScaleCompensation, candidates: Tensor, boxes: Tensor, counts: Tensor, ignored: Tensor | None, group: int = 1
) -> Assigned:
    """Assigns boxes by overlap, then the best candidates to boxes that have none; arguments as those of `assign`."""
    return _in_parts(_compensated, spec, candidates, boxes, counts, ignored, group)


@dataclass(frozen=True)
class _Places:
    """Overlaps of A candidates with M boxes, -1 with those that are not to be found, (N, A, M)."""

    overlap: Tensor
    positive: Tensor | float  # thresholds, (N, 1, M) or one for all boxes
    counts: Tensor


def _in_parts(
    find: Callable[[Assignment, _Places, Tensor | None], Assigned],
    spec: Assignment,
    candidates: Tensor,
    boxes: Tensor,
    counts: Tensor,
    ignored: Tensor | None,
    group: int,
) -> Assigned:
    step = max(1, _LARGEST // (candidates.shape[-2] * boxes.shape[1]))
    parts = []
    for start in range(0, len(boxes), step):
        rows = slice(start, start + step)
        mine = candidates if candidates.ndim == 2 else candidates[rows]
        overlap = iou_matrix(mine, boxes[rows])
        inside = None if ignored is None else _share_inside(mine, boxes[rows]).masked_fill(~ignored[rows, None], 0)
        if group > 1:
            overlap = _best_of(overlap, group)
            inside = None if inside is None else _best_of(inside, group)
        overlap = overlap.masked_fill(~counts[rows, None], -1)
        places = _Places(overlap, _thresholds(spec, boxes[rows]), counts[rows])
        parts.append(find(spec, places, None if inside is None else inside.amax(-1)))
    return Assigned(torch.cat([part.state for part in parts]), torch.cat([part.index for part in parts]))


def _best_of(overlap: Tensor, group: int) -> Tensor:
    return overlap.reshape(len(overlap), -1, group, overlap.shape[2]).amax(2)


def _thresholds(spec: Assignment, boxes: Tensor) -> Tensor | float:
    if not isinstance(spec, LooseAssignment):
        return spec.positive
    small = area(boxes) < spec.side**2
    return torch.where(small, min(spec.small, spec.positive), spec.positive).unsqueeze(1)


def _assign(spec: Assignment, places: _Places, inside: Tensor | None) -> Assigned:
    overlap = places.overlap
    best, index = overlap.max(-1)
    if isinstance(places.positive, Tensor):
        # Of several boxes that are found, the one of the greatest overlap; it need not be the greatest of all.
        enough = (overlap >= places.positive) & (overlap > 0)
        found = enough.any(-1)
        index = torch.where(found, overlap.masked_fill(~enough, -1).argmax(-1), index)
    else:
        found = (best >= places.positive) & (best > 0)
    state = torch.where(found, OBJECT, torch.where(best < spec.negative, BACKGROUND, IGNORED))
    if inside is not None:
        state = torch.where((state == BACKGROUND) & (inside > 0) & (inside >= spec.negative), IGNORED, state)
    if spec.low_quality:
        claimed = (overlap == overlap.amax(1, keepdim=True)) & (overlap > 0)
        # Of several boxes that claim a candidate, the one that it overlaps most.
        index = torch.where(claimed.any(-1), overlap.masked_fill(~claimed, -1).argmax(-1), index)
        state = torch.where(claimed.any(-1), OBJECT, state)
    return Assigned(state, index)


def _compensated(spec: Assignment, places: _Places, inside: Tensor | None) -> Assigned:
    assert isinstance(spec, ScaleCompensation)
    first = _assign(spec, places, inside)
    state, index = first.state, first.index
    owned = _owned(state, index, places)
    uncovered = places.counts & (owned == 0)
    if not bool(uncovered.any()):
        return first
    wanted = places.overlap.masked_fill(~uncovered[:, None], -1)
    matched = (owned > 0).sum(1).clamp(min=1)
    most = (owned.sum(1) / matched).round().clamp(min=1)
    # The best of all candidates that are free, as many as other boxes have.
    free = wanted.masked_fill((state == OBJECT).unsqueeze(-1), -1)
    rank = free.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    state, index = _claim(state, index, (rank < most.view(-1, 1, 1)) & (free > spec.least), free)
    rows = torch.arange(len(state), device=state.device)
    for _ in range(places.overlap.shape[2]):
        # Boxes that came away with nothing take one from those that have more than one; one box an image at a time, so
        # that none loses its last one.
        owned = _owned(state, index, places)
        spare = (state != OBJECT) | (owned.gather(1, index) > 1)
        wanted = places.overlap.masked_fill(~(places.counts & (owned == 0))[:, None] | ~spare.unsqueeze(-1), -1)
        best, at = wanted.max(1)
        if not bool((best > spec.least).any()):
            break
        box = (best > spec.least).int().argmax(1)
        taken, place = best[rows, box] > spec.least, at[rows, box]
        index[rows, place] = torch.where(taken, box, index[rows, place])
        state[rows, place] = torch.where(taken, OBJECT, state[rows, place])
    return Assigned(state, index)


def _owned(state: Tensor, index: Tensor, places: _Places) -> Tensor:
    """How many candidates are to find each box, (N, M)."""
    owned = torch.zeros_like(places.counts, dtype=torch.int64)
    return owned.scatter_add(1, index, (state == OBJECT).long())


def _claim(state: Tensor, index: Tensor, claimed: Tensor, overlap: Tensor) -> tuple[Tensor, Tensor]:
    """Gives every claimed candidate to the box, of those that claim it, which it overlaps most."""
    taken = claimed.any(-1)
    index = torch.where(taken, overlap.masked_fill(~claimed, -1).argmax(-1), index)
    return torch.where(taken, OBJECT, state), index


def _share_inside(candidates: Tensor, boxes: Tensor) -> Tensor:
    """The share of each candidate's area that lies in each box, (N, A, M)."""
    low = torch.maximum(candidates[..., :, None, :2], boxes[..., None, :, :2])
    high = torch.minimum(candidates[..., :, None, 2:], boxes[..., None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    return common / area(candidates)[..., :, None].clamp(min=torch.finfo(common.dtype).tiny)


@implements(BalancedSampling)
def sample(spec: BalancedSampling, state: Tensor, losses: Tensor | None = None) -> Tensor:
    """Returns whether each candidate counts, (N, A); draws come from torch's global generator.

    Args:
        spec: How many, and how many of them with objects.
        state: As in `Assigned`, (N, A).
        losses: Of no meaning here.
    """
    number = min(spec.number, state.shape[1])
    objects = _some(state == OBJECT, number, state.new_full((len(state), 1), int(spec.number * spec.positive)))
    return objects | _some(state == BACKGROUND, number, number - objects.sum(1, keepdim=True))


@implements(HardNegatives)
def hardest(spec: HardNegatives, state: Tensor, losses: Tensor) -> Tensor:
    """Returns whether each candidate counts, (N, A); nothing is drawn.

    Args:
        spec: How many of the background, for each with an object.
        state: As in `Assigned`, (N, A).
        losses: What each candidate costs, (N, A).
    """
    objects, background = state == OBJECT, state == BACKGROUND
    count = objects.sum(1, keepdim=True)
    number = torch.where(count > 0, (spec.ratio * count).round().long(), spec.least)
    rank = losses.detach().masked_fill(~background, -1).argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return objects | (background & (rank < number))


def _some(among: Tensor, most: int, count: Tensor) -> Tensor:
    """At most `count` (N, 1) random places a row among those that are allowed, never more than `most`."""
    keys = torch.rand(among.shape, device=among.device).masked_fill(~among, 2.0)
    found, places = keys.topk(most, dim=1, largest=False)
    chosen = (torch.arange(most, device=among.device) < count) & (found < 2)
    return torch.zeros_like(among).scatter(1, places, chosen)
