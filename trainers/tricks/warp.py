"""Moves images with all that is known of them: masks, instances and boxes."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from trainers.data.pictures import IGNORE, PADDED
from trainers.tricks.batch import Batch

_LEFT = 0.25
"""Share of a box that must stay inside the image for its object to stay."""


def warp(batch: Batch, places: Tensor, border: bool = False, kept: Tensor | None = None) -> Batch:
    """Moves every image as an affine map says; images bilinearly, masks by the nearest pixel, boxes by their corners.

    Args:
        batch: Images and what is known of them.
        places: (N, 3, 3) maps from (x, y, 1) before to (x, y, 1) after, in pixels from the outer corner of the image.
        border: Whether what comes from outside is like the border, and not the mean (masks: ignored).
        kept: (N, M) objects that may stay; None: all may.
    """
    height, width = batch.images.shape[2:]
    # From -1 to 1 across the image, as grids are, to pixels; in double precision, so that a quarter turn is one.
    pixels = places.new_tensor([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]], dtype=torch.float64)
    back = torch.linalg.inv_ex(pixels).inverse @ torch.linalg.inv_ex(places.double()).inverse @ pixels
    grid = F.affine_grid(back[:, :2].to(batch.images.dtype), list(batch.images.shape), align_corners=False)
    outside = "border" if border else "zeros"
    images = F.grid_sample(batch.images, grid, mode="bilinear", padding_mode=outside, align_corners=False)
    masks, instances = batch.masks, batch.instances
    if masks is not None:
        # Shifted by 1, so that 0, which stands for outside, is no class.
        masks = _nearest(masks + 1, grid, outside) - 1
        masks = torch.where(masks < 0, IGNORE, masks)
    if instances is not None:
        instances = _nearest(instances, grid, outside)
    moved = replace(batch, images=images, masks=masks, instances=instances)
    if batch.boxes is None:
        return moved
    return clipped(replace(moved, boxes=move_boxes(batch.boxes, places)), kept)


def move_boxes(boxes: Tensor, places: Tensor) -> Tensor:
    """Returns the boxes around the moved corners of boxes.

    Args:
        boxes: (N, M, 4).
        places: (N, 3, 3), as in `warp`.
    """
    left, top, right, bottom = boxes.unbind(2)
    x = torch.stack([left, right, left, right], 2)
    y = torch.stack([top, top, bottom, bottom], 2)
    maps = places[:, :2, :, None, None]
    found = maps[:, :, 0] * x.unsqueeze(1) + maps[:, :, 1] * y.unsqueeze(1) + maps[:, :, 2]  # (N, 2, M, 4)
    return torch.cat([found.amin(3), found.amax(3)], 1).transpose(1, 2).to(boxes.dtype)


def clipped(batch: Batch, kept: Tensor | None = None) -> Batch:
    """Cuts boxes at the image's border, and drops objects of which too little is left.

    Args:
        batch: Its boxes may stand out of the images.
        kept: (N, M) objects that stay as long as a pixel of them is left; None: those of which a quarter is left.
    """
    assert batch.boxes is not None and batch.classes is not None
    height, width = batch.images.shape[2:]
    limits = batch.boxes.new_tensor([width, height, width, height])
    boxes = batch.boxes.clamp(min=0).minimum(limits)
    enough = area(boxes) >= _LEFT * area(batch.boxes) if kept is None else kept
    stays = enough & (boxes[..., 2:] - boxes[..., :2] >= 1).all(2) & (batch.classes != PADDED)
    return replace(batch, boxes=boxes * stays.unsqueeze(2), classes=torch.where(stays, batch.classes, PADDED))


def area(boxes: Tensor) -> Tensor:
    """Returns the (...) areas of (..., 4) boxes."""
    sides: Tensor = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return sides.prod(-1)


def affine(scale_x: Tensor, scale_y: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Returns the (N, 3, 3) maps that scale by (N,) factors and then shift by (N,) pixels."""
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return torch.stack([scale_x, zero, x, zero, scale_y, y, zero, zero, one], 1).view(-1, 3, 3)


def window(left: Tensor, top: Tensor, wide: Tensor, high: Tensor, width: int, height: int) -> Tensor:
    """Returns the (N, 3, 3) maps that scale (N,) windows, in pixels, to the whole image."""
    scale_x, scale_y = width / wide, height / high
    return affine(scale_x, scale_y, -left * scale_x, -top * scale_y)


def turn(degrees: Tensor, x: Tensor, y: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """Returns the (N, 3, 3) maps that turn counterclockwise, and scale, about the (N,) places x, y in pixels."""
    angle = degrees.double() * (torch.pi / 180)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    rows = [cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y, zero, zero, one]
    return torch.stack(rows, 1).view(-1, 3, 3)


def _nearest(values: Tensor, grid: Tensor, outside: str) -> Tensor:
    whole = values.unsqueeze(1).to(grid.dtype)
    found = F.grid_sample(whole, grid, mode="nearest", padding_mode=outside, align_corners=False)
    return found.squeeze(1).to(values.dtype)
