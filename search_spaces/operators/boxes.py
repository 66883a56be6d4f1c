"""Boxes (x0, y0, x1, y1) in pixels, x to the right, y downwards: overlap, coding, clipping, anchors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# A box grows by at most this factor's logarithm, so that a wild prediction stays finite.
LARGEST_GROWTH = math.log(1000 / 16)


def area(boxes: Tensor) -> Tensor:
    """Returns the areas (...) of boxes (..., 4) in square pixels; a box turned inside out has none."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def iou_matrix(a: Tensor, b: Tensor) -> Tensor:
    """Returns intersection over union of every pair; 0 where both boxes are empty.

    Args:
        a: Boxes (..., n, 4).
        b: Boxes (..., m, 4).

    Returns:
        Numbers in [0, 1], (..., n, m).
    """
    low = torch.maximum(a[..., :, None, :2], b[..., None, :, :2])
    high = torch.minimum(a[..., :, None, 2:], b[..., None, :, 2:])
    sides = (high - low).clamp(min=0)
    common = sides[..., 0] * sides[..., 1]
    union = area(a)[..., :, None] + area(b)[..., None, :] - common
    return torch.where(union > 0, common / union.clamp(min=torch.finfo(union.dtype).tiny), 0.0)


def encode(boxes: Tensor, anchors: Tensor, weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """Returns the deltas (dx, dy, dw, dh) that lead from anchors to boxes.

    Args:
        boxes: Boxes (..., 4), not empty.
        anchors: Where they start from, (..., 4), not empty.
        weights: What each delta is multiplied by.

    Returns:
        Centre offset over the anchor's size, and the logarithm of the ratio of the sizes, (..., 4).

    Paper: Ren et al., 2015, arXiv 1506.01497, equation 2.
    """
    centre, size = _centre_size(boxes)
    start, scale = _centre_size(anchors)
    deltas = torch.cat([(centre - start) / scale, torch.log(size / scale)], dim=-1)
    return deltas * deltas.new_tensor(weights)


def decode(deltas: Tensor, anchors: Tensor, weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """Returns the boxes that deltas lead to from anchors, in the anchors' precision; the inverse of `encode`.

    Args:
        deltas: (dx, dy, dw, dh), (..., 4).
        anchors: Where they start from, (..., 4).
        weights: What each delta is divided by.

    Returns:
        Boxes (..., 4); no side is more than 62.5 times that of its anchor.
    """
    start, scale = _centre_size(anchors)
    deltas = deltas.to(anchors.dtype) / anchors.new_tensor(weights)
    centre = start + deltas[..., :2] * scale
    half = scale * deltas[..., 2:].clamp(max=LARGEST_GROWTH).exp() / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def cell_deltas(numbers: Tensor, sizes: Tensor, steps: Tensor) -> Tensor:
    """Returns the deltas from anchors that numbers of cells stand for, so that a centre never leaves its own cell.

    The centre lies at sigmoid(tx) and sigmoid(ty) across the cell, whose middle is that of the anchor; width and height
    are those of the anchor times exp(tw) and exp(th).

    Args:
        numbers: (tx, ty, tw, th), (..., 4).
        sizes: Width and height of the anchors, (..., 2).
        steps: Side of the cells, in the same unit, (..., 1).

    Returns:
        What `decode` makes the boxes of, (..., 4).

    Paper: Redmon & Farhadi, 2018, arXiv 1804.02767, section 2.1.
    """
    offset = (numbers[..., :2].sigmoid() - 0.5) * steps / sizes
    return torch.cat([offset, numbers[..., 2:]], dim=-1)


def at_least_a_pixel(boxes: Tensor, image_size: Sequence[int]) -> Tensor:
    """Returns boxes (..., 4) within an image of `image_size` (H, W), none of them thinner than a pixel.

    A box of no size could not be coded: the logarithm of its sides is infinite.
    """
    boxes = clip(boxes, image_size)
    low = boxes[..., :2].minimum(boxes.new_tensor([image_size[1] - 1.0, image_size[0] - 1.0]))
    return torch.cat([low, boxes[..., 2:].maximum(low + 1)], dim=-1)


def _centre_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    return (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]


def clip(boxes: Tensor, image_size: Sequence[int]) -> Tensor:
    """Returns the parts of boxes (..., 4) that lie in an image of `image_size` (H, W)."""
    height, width = image_size
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], dim=-1)


def anchor_boxes(
    image_size: Sequence[int],
    strides: Sequence[int],
    shapes: Sequence[Sequence[Sequence[float]]],
    device: torch.device | str | None = None,
) -> Tensor:
    """Returns the anchors of an image: level by level, row by row, column by column, shape by shape.

    A level of stride s has ceil(H / s) rows and ceil(W / s) columns; its position (i, j) stands for the centre
    ((j + 1/2) s, (i + 1/2) s). Anchors may reach beyond the image.

    Args:
        image_size: Height and width of the image, in pixels.
        strides: Pixels for a step on each level.
        shapes: Width and height of the anchors of a position, for each level, in pixels; two more numbers say by how
            much an anchor's middle lies to the right of the centre, and below it.
        device: Where the result lies.

    Returns:
        Boxes (A, 4) in float32.
    """
    height, width = image_size
    if torch.device(device or "cpu").type == "meta":
        places = [-(-height // stride) * -(-width // stride) for stride in strides]
        return torch.empty(sum(n * len(sides) for n, sides in zip(places, shapes, strict=True)), 4, device="meta")
    levels = []
    for stride, sides in zip(strides, shapes, strict=True):
        x = (torch.arange(-(-width // stride), device=device, dtype=torch.float32) + 0.5) * stride
        y = (torch.arange(-(-height // stride), device=device, dtype=torch.float32) + 0.5) * stride
        centres = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1).reshape(-1, 1, 2)
        rows = torch.tensor([[*shape, 0.0, 0.0][:4] for shape in sides], device=device, dtype=torch.float32)
        half, middles = rows[:, :2] / 2, centres + rows[:, 2:]
        levels.append(torch.cat([middles - half, middles + half], dim=-1).reshape(-1, 4))
    return torch.cat(levels)
