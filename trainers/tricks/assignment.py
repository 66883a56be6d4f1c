"""Which anchors or proposals answer for which boxes, and which of them count; whole padded batches at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces.operators.boxes import area, iou_matrix
from search_spaces.recipe.boxes import BalancedSampling, IouAssignment
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
def assign(spec: IouAssignment, candidates: Tensor, boxes: Tensor, counts: Tensor, ignored: Tensor | None) -> Assigned:
    """Assigns boxes by overlap.

    Args:
        spec: The thresholds.
        candidates: Anchors (A, 4) of every image, or proposals (N, A, 4).
        boxes: (N, M, 4), M at least 1.
        counts: Whether a box is to be found, (N, M); padding is not.
        ignored: Whether a box is of an object that does not count, (N, M); None: there are none.
    """
    step = max(1, _LARGEST // (candidates.shape[-2] * boxes.shape[1]))
    parts = []
    for start in range(0, len(boxes), step):
        rows = slice(start, start + step)
        mine = candidates if candidates.ndim == 2 else candidates[rows]
        parts.append(_assign(spec, mine, boxes[rows], counts[rows], None if ignored is None else ignored[rows]))
    return Assigned(torch.cat([part.state for part in parts]), torch.cat([part.index for part in parts]))


def _assign(spec: IouAssignment, candidates: Tensor, boxes: Tensor, counts: Tensor, ignored: Tensor | None) -> Assigned:
    overlap = iou_matrix(candidates, boxes).masked_fill(~counts[:, None], -1)
    best, index = overlap.max(-1)
    found = (best >= spec.positive) & (best > 0)
    state = torch.where(found, OBJECT, torch.where(best < spec.negative, BACKGROUND, IGNORED))
    if ignored is not None:
        inside = _share_inside(candidates, boxes).masked_fill(~ignored[:, None], 0).amax(-1)
        state = torch.where((state == BACKGROUND) & (inside > 0) & (inside >= spec.negative), IGNORED, state)
    if spec.low_quality:
        claimed = (overlap == overlap.amax(1, keepdim=True)) & (overlap > 0)
        # Of several boxes that claim a candidate, the one that it overlaps most.
        index = torch.where(claimed.any(-1), overlap.masked_fill(~claimed, -1).argmax(-1), index)
        state = torch.where(claimed.any(-1), OBJECT, state)
    return Assigned(state, index)


def _share_inside(candidates: Tensor, boxes: Tensor) -> Tensor:
    """The share of each candidate's area that lies in each box, (N, A, M)."""
    low = torch.maximum(candidates[..., :, None, :2], boxes[..., None, :, :2])
    high = torch.minimum(candidates[..., :, None, 2:], boxes[..., None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    return common / area(candidates)[..., :, None].clamp(min=torch.finfo(common.dtype).tiny)


@implements(BalancedSampling)
def sample(spec: BalancedSampling, state: Tensor) -> Tensor:
    """Returns whether each candidate counts, (N, A); draws come from torch's global generator.

    Args:
        spec: How many, and how many of them with objects.
        state: As in `Assigned`, (N, A).
    """
    number = min(spec.number, state.shape[1])
    objects = _some(state == OBJECT, number, state.new_full((len(state), 1), int(spec.number * spec.positive)))
    return objects | _some(state == BACKGROUND, number, number - objects.sum(1, keepdim=True))


def _some(among: Tensor, most: int, count: Tensor) -> Tensor:
    """At most `count` (N, 1) random places a row among those that are allowed, never more than `most`."""
    keys = torch.rand(among.shape, device=among.device).masked_fill(~among, 2.0)
    found, places = keys.topk(most, dim=1, largest=False)
    chosen = (torch.arange(most, device=among.device) < count) & (found < 2)
    return torch.zeros_like(among).scatter(1, places, chosen)
