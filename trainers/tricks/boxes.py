"""Losses of predicted boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.operators.boxes import area, decode, encode
from search_spaces.recipe.boxes import BoxLoss, Ciou, Diou, Giou, Iou, SmoothL1
from trainers.tricks.registry import implements


@implements(SmoothL1)
def smooth_l1(spec: SmoothL1, deltas: Tensor, boxes: Tensor, anchors: Tensor, weights: Sequence[float]) -> Tensor:
    """Returns the loss of every box, (n,).

    Args:
        spec: Where the parabola ends.
        deltas: What was predicted, from the anchors, (n, 4).
        boxes: The right boxes, (n, 4).
        anchors: Where the deltas start from, (n, 4).
        weights: What deltas are divided by when they are decoded.
    """
    losses = F.smooth_l1_loss(deltas, encode(boxes, anchors, weights), reduction="none", beta=spec.beta)
    return spec.weight * losses.sum(-1)


def _of_boxes(spec: BoxLoss, deltas: Tensor, boxes: Tensor, anchors: Tensor, weights: Sequence[float]) -> Tensor:
    """As `smooth_l1`, of the decoded boxes."""
    kind = str(spec.to_data()["kind"])
    return spec.weight * (1 - similarity(decode(deltas, anchors, weights), boxes, kind))


for _spec in (Iou, Giou, Diou, Ciou):
    implements(_spec)(_of_boxes)


def similarity(a: Tensor, b: Tensor, kind: str) -> Tensor:
    """Returns how alike boxes are, pair by pair, at most 1.

    Args:
        a: Predicted boxes (..., 4), not empty.
        b: The right ones, (..., 4), not empty.
        kind: `iou`, `giou`, `diou` or `ciou`.

    Paper: Rezatofighi et al., 2019, 1902.09630, algorithm 1; Zheng et al., 2019, 1911.08287, equations 6 to 11.
    """
    sides = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    common = sides[..., 0] * sides[..., 1]
    union = area(a) + area(b) - common
    iou = common / union
    if kind == "iou":
        return iou
    around = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    if kind == "giou":
        hull = around[..., 0] * around[..., 1]
        return iou - (hull - union) / hull
    found = iou - distance_share(a, b)
    if kind == "diou":
        return found
    (width, height), (right_width, right_height) = ((x[..., 2:] - x[..., :2]).unbind(-1) for x in (a, b))
    v = 4 / math.pi**2 * (torch.atan(right_width / right_height) - torch.atan(width / height)) ** 2
    with torch.no_grad():
        # Where both boxes agree v is 0, and so is its share.
        alpha = v / (1 - iou + v).clamp(min=torch.finfo(v.dtype).tiny)
    return found - alpha * v


def distance_share(a: Tensor, b: Tensor) -> Tensor:
    """Returns the squared distance of the centres over the squared diagonal of the smallest box around both.

    Args:
        a: Boxes (..., 4).
        b: Boxes (..., 4) that broadcast with them.
    """
    around = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    apart = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    return apart.square().sum(-1) / around.square().sum(-1).clamp(min=torch.finfo(a.dtype).tiny)
