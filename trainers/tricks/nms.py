"""What is done with overlapping detections, for whole padded batches.

Every implementation takes boxes (N, n, 4), scores (N, n) and classes (N, n) and returns boxes and scores of the same
shape at the same places; a detection that is dropped has the score 0, and so has padding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from search_spaces.operators.boxes import iou_matrix
from search_spaces.operators.nms import suppress
from search_spaces.recipe.suppression import DiouNms, HardNms, SoftNms, WeightedNms
from trainers.tricks.boxes import distance_share
from trainers.tricks.registry import implements

Found = tuple[Tensor, Tensor]


@implements(HardNms)
def hard_nms(spec: HardNms, boxes: Tensor, scores: Tensor, classes: Tensor) -> Found:
    """Drops what overlaps a better detection of its class."""
    return boxes, _hard(boxes, scores, classes, iou_matrix, spec.threshold)


@implements(DiouNms)
def diou_nms(spec: DiouNms, boxes: Tensor, scores: Tensor, classes: Tensor) -> Found:
    """Drops what overlaps a better detection of its class and lies near it."""

    def measure(a: Tensor, b: Tensor) -> Tensor:
        return iou_matrix(a, b) - distance_share(a.unsqueeze(-2), b.unsqueeze(-3)) ** spec.beta

    return boxes, _hard(boxes, scores, classes, measure, spec.threshold)


@implements(SoftNms)
def soft_nms(spec: SoftNms, boxes: Tensor, scores: Tensor, classes: Tensor) -> Found:
    """Takes the best detection of what is left, again and again, and lowers the scores of what overlaps it."""
    overlap = iou_matrix(boxes, boxes) * _alike(classes)
    if spec.form == "linear":
        factors = torch.where(overlap > spec.threshold, 1 - overlap, 1.0)
    else:
        factors = torch.exp(-overlap.square() / spec.sigma)
    left = torch.ones_like(scores, dtype=torch.bool)
    rows = torch.arange(len(scores), device=scores.device)
    for _ in range(scores.shape[1]):
        best = scores.masked_fill(~left, -1).argmax(1)
        left[rows, best] = False
        scores = torch.where(left, scores * factors[rows, best], scores)
    return boxes, scores.masked_fill(scores < spec.floor, 0)


@implements(WeightedNms)
def weighted_nms(spec: WeightedNms, boxes: Tensor, scores: Tensor, classes: Tensor) -> Found:
    """Puts the mean of each cluster in the place of its best detection, which keeps its score."""
    order, ranked, weights, alike = _ranked(boxes, scores, classes)
    overlapping = (iou_matrix(ranked, ranked) > spec.threshold) & alike
    stays = suppress(overlapping)
    # Each belongs to the first that stays and that it overlaps, itself at the latest.
    joined = (overlapping | torch.eye(len(alike[0]), dtype=torch.bool, device=boxes.device)) & stays[:, :, None]
    first = joined.int().argmax(1)
    shares = torch.zeros_like(boxes[..., 0]).scatter_add(1, first, weights)
    places = first[..., None].expand(-1, -1, 4)
    sums = torch.zeros_like(boxes).scatter_add(1, places, weights[..., None] * ranked)
    blended = torch.where(
        (shares > 0)[..., None], sums / shares.clamp(min=torch.finfo(shares.dtype).tiny)[..., None], ranked
    )
    back = order[..., None].expand(-1, -1, 4)
    return torch.zeros_like(boxes).scatter(1, back, blended), _back(weights * stays, order)


def _hard(
    boxes: Tensor, scores: Tensor, classes: Tensor, measure: Callable[[Tensor, Tensor], Tensor], threshold: float
) -> Tensor:
    order, ranked, weights, alike = _ranked(boxes, scores, classes)
    return _back(weights * suppress((measure(ranked, ranked) > threshold) & alike), order)


def _ranked(boxes: Tensor, scores: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Order by falling score, boxes and scores in it, and whether two are of one class."""
    weights, order = scores.sort(dim=1, descending=True, stable=True)
    ranked = boxes.gather(1, order[..., None].expand(-1, -1, 4))
    return order, ranked, weights, _alike(classes.gather(1, order))


def _alike(classes: Tensor) -> Tensor:
    return classes[:, :, None] == classes[:, None, :]


def _back(values: Tensor, order: Tensor) -> Tensor:
    return torch.zeros_like(values).scatter(1, order, values)
