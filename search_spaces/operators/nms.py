"""Non-maximum suppression: of boxes that overlap too much, the one with the highest score stays."""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces.operators import compiled
from search_spaces.operators.boxes import iou_matrix

BLOCK = 256


def suppress(overlapping: Tensor, rounds: int | None = None) -> Tensor:
    """Returns which of ranked items stay, when an item goes if a better one that stays overlaps it.

    All items are decided at once, again and again, until nothing changes; each round settles at least one more link of
    the longest chain in which each item overlaps the next. Until then rounds of odd number keep too few items, never
    two that overlap.

    Args:
        overlapping: Whether two items overlap too much, (..., n, n), best item first.
        rounds: Rounds to make whatever happens, so that the same operations are done for any boxes; None: as many as
            it takes.

    Returns:
        Whether each item stays, (..., n).
    """
    before = overlapping.triu(1)
    keep = torch.ones(before.shape[:-1], dtype=torch.bool, device=before.device)
    for _ in range(before.shape[-1] if rounds is None else rounds):
        now = ~(before & keep[..., :, None]).any(dim=-2)
        if rounds is None and torch.equal(now, keep):
            break
        keep = now
    return keep


def nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Returns the indexes of the boxes that stay, by falling score.

    Args:
        boxes: Boxes (n, 4).
        scores: Scores (n,).
        threshold: A box goes if its intersection over union with a better one that stays is greater.

    Returns:
        Indexes (m,), m <= n.
    """
    if (ops := compiled()) is not None:
        kept: Tensor = ops.nms(boxes, scores, threshold)
        return kept
    return plain_nms(boxes, scores, threshold)


def plain_nms(boxes: Tensor, scores: Tensor, threshold: float, block: int = BLOCK) -> Tensor:
    """Returns what `nms` does, without a compiled operator: blocks of the best boxes suppress all that follow.

    Args:
        boxes: Boxes (n, 4).
        scores: Scores (n,).
        threshold: The greatest intersection over union that is let through.
        block: Boxes decided at once; memory grows with `block` x n.
    """
    order = scores.argsort(descending=True, stable=True)
    kept: list[Tensor] = []
    while len(order):
        first, rest = order[:block], order[block:]
        stay = first[suppress(iou_matrix(boxes[first], boxes[first]) > threshold)]
        kept.append(stay)
        if len(rest):
            rest = rest[~(iou_matrix(boxes[stay], boxes[rest]) > threshold).any(dim=0)]
        order = rest
    return torch.cat(kept) if kept else order


def batched_nms(boxes: Tensor, scores: Tensor, classes: Tensor, threshold: float) -> Tensor:
    """Returns the indexes of the boxes that stay, by falling score, when only boxes of one class suppress one another.

    Each class is moved to a place of its own, so that one suppression serves all.

    Args:
        boxes: Boxes (n, 4).
        scores: Scores (n,).
        classes: Class of each box, (n,), whole numbers from 0.
        threshold: The greatest intersection over union that is let through.
    """
    if len(boxes) == 0:
        return torch.empty(0, dtype=torch.long, device=boxes.device)
    # Offsets in double precision leave the boxes as they are, however many classes there are.
    exact = boxes.double()
    offsets = classes.to(exact) * (exact.max() - exact.min() + 1)
    return nms(exact + offsets[:, None], scores.double(), threshold)
