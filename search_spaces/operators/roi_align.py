"""RoIAlign: a map of fixed size for each box, by bilinear interpolation at points that are not rounded.

Paper: He et al., 2017, arXiv 1703.06870, section 3; levels: Lin et al., 2017, arXiv 1612.03144, equation 1.
    Position-sensitive: Dai et al., 2016, arXiv 1605.06409, equation 1. Deformable: Dai et al., 2017, arXiv 1703.06211,
    equation 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.operators import compiled

# A box of 224 pixels belongs to the level of stride 16.
CANONICAL_STRIDES = 14.0
Reduce = Literal["mean", "max"]


def box_levels(boxes: Tensor, strides: Sequence[int]) -> Tensor:
    """Returns the index of the level that each box is cut out of: the coarsest with 14 strides or more to its side.

    Args:
        boxes: Boxes (..., 4) in pixels; the side is the square root of the area.
        strides: Strides of the levels, finest first; what is too small for all belongs to the finest.

    Returns:
        Indexes (...), whole numbers.
    """
    sides = boxes[..., 2:] - boxes[..., :2]
    side = sides.clamp(min=0).prod(dim=-1).sqrt()
    bounds = side.new_tensor([CANONICAL_STRIDES * stride for stride in strides[1:]])
    return (side[..., None] >= bounds).sum(dim=-1)


def roi_align(
    maps: Sequence[Tensor], boxes: Tensor, strides: Sequence[int], size: int = 7, sampling: int = 2
) -> Tensor:
    """Returns what lies in each box, from the level that suits its size.

    The pixel at index i of a map covers [i, i + 1] strides, its value stands at the middle (`aligned=True` elsewhere).

    Args:
        maps: Levels (N, C, H_i, W_i), finest first; one is enough.
        boxes: Boxes (N, P, 4) in pixels of the image.
        strides: Pixels for a step on each level.
        size: Rows, and columns, of the result.
        sampling: Points, in each direction, that each cell averages over.

    Returns:
        Maps (N, P, C, size, size) in the precision of `maps`.
    """
    ops = _ops(boxes)
    if ops is None:
        return plain_roi_align(maps, boxes, strides, size, sampling)

    def align(x: Tensor, rois: Tensor, stride: int) -> Tensor:
        found: Tensor = ops.roi_align(x, rois, size, 1 / stride, sampling, aligned=True)
        return found

    return _by_level(align, maps, boxes, strides, maps[0].shape[1], size)


def ps_roi_align(
    maps: Sequence[Tensor], boxes: Tensor, strides: Sequence[int], size: int = 7, sampling: int = 2
) -> Tensor:
    """Returns what lies in each box, every cell of which reads maps of its own.

    Cell (i, j) of channel c reads channel (c * size + i) * size + j of the maps; all else is as in `roi_align`.

    Args:
        maps: Levels (N, C * size * size, H_i, W_i), finest first.
        boxes: Boxes (N, P, 4) in pixels of the image.
        strides: Pixels for a step on each level.
        size: Rows, and columns, of the result.
        sampling: Points, in each direction, that each cell averages over.

    Returns:
        Maps (N, P, C, size, size) in the precision of `maps`.
    """
    ops = _ops(boxes)
    if ops is None:
        return plain_ps_roi_align(maps, boxes, strides, size, sampling)

    def align(x: Tensor, rois: Tensor, stride: int) -> Tensor:
        found: Tensor = ops.ps_roi_align(x, rois, size, 1 / stride, sampling)
        return found

    return _by_level(align, maps, boxes, strides, maps[0].shape[1] // size**2, size)


def _ops(boxes: Tensor) -> Any:
    return None if torch.compiler.is_compiling() or boxes.is_meta else compiled()


def _by_level(
    align: Callable[[Tensor, Tensor, int], Tensor],
    maps: Sequence[Tensor],
    boxes: Tensor,
    strides: Sequence[int],
    channels: int,
    size: int,
) -> Tensor:
    """Cuts the boxes of each level out of it with a compiled operator, which takes rows (image, box)."""
    levels = box_levels(boxes, strides)
    out = maps[0].new_zeros(*boxes.shape[:2], channels, size, size)
    for level, (x, stride) in enumerate(zip(maps, strides, strict=True)):
        image, which = torch.nonzero(levels == level, as_tuple=True)
        rois = torch.cat([image[:, None].to(boxes), boxes[image, which]], dim=1).to(x)
        out = out.index_put((image, which), align(x, rois, stride))
    return out


def plain_roi_align(
    maps: Sequence[Tensor],
    boxes: Tensor,
    strides: Sequence[int],
    size: int = 7,
    sampling: int = 2,
    offsets: Tensor | None = None,
    reduce: Reduce = "mean",
) -> Tensor:
    """Returns what `roi_align` does, without a compiled operator.

    Each cell is a weighted sum of pixels, four a point; one `embedding_bag` over the pixels of all levels adds them up.

    Args:
        maps: As in `roi_align`.
        boxes: As in `roi_align`.
        strides: As in `roi_align`.
        size: As in `roi_align`.
        sampling: As in `roi_align`.
        offsets: By how many pixels of the image each cell is moved, (dx, dy), (N, P, size, size, 2); they learn.
        reduce: Whether a cell is the mean of its points, or the greatest of them.
    """
    return _read(maps, boxes, strides, size, sampling, 1, offsets, reduce)


def plain_ps_roi_align(
    maps: Sequence[Tensor], boxes: Tensor, strides: Sequence[int], size: int = 7, sampling: int = 2
) -> Tensor:
    """Returns what `ps_roi_align` does, without a compiled operator; arguments as there."""
    return _read(maps, boxes, strides, size, sampling, size**2, None, "mean")


def _read(
    maps: Sequence[Tensor],
    boxes: Tensor,
    strides: Sequence[int],
    size: int,
    sampling: int,
    groups: int,
    offsets: Tensor | None,
    reduce: Reduce,
) -> Tensor:
    """Reads one row of a table a pixel; a pixel of a position-sensitive map has as many rows as there are cells."""
    images, channels = maps[0].shape[0], maps[0].shape[1] // groups
    if boxes.is_meta:
        return maps[0].new_empty(*boxes.shape[:2], channels, size, size)
    # Interpolation is in float32: bfloat16 cannot even tell positions on a map of 300 pixels apart.
    pixels = torch.cat([x.flatten(2) for x in maps], dim=2).transpose(1, 2)
    if groups > 1:
        pixels = pixels.reshape(images, -1, channels, groups).transpose(2, 3)
    pixels = pixels.reshape(-1, channels).float()
    levels = box_levels(boxes, strides)
    table = [(x.shape[2], x.shape[3], stride) for x, stride in zip(maps, strides, strict=True)]
    heights, widths, steps = boxes.new_tensor(table).float()[levels].unbind(-1)
    starts = [0]
    for height, width, _ in table:
        starts.append(starts[-1] + height * width)
    first = torch.tensor(starts[:-1], device=boxes.device)[levels]
    first = first + torch.arange(images, device=boxes.device)[:, None] * starts[-1]

    corners = boxes.detach().float() / steps[..., None]
    y = _points(corners[..., 1], corners[..., 3], size, sampling)[..., :, None, :]
    x = _points(corners[..., 0], corners[..., 2], size, sampling)[..., None, :, :]
    if offsets is not None:
        moved = offsets.float() / steps[..., None, None, None]
        y, x = y + moved[..., 1:], x + moved[..., :1]
    rows, row_weights = _taps(y, heights)
    columns, column_weights = _taps(x, widths)
    line = widths.long()[..., None, None, None, None]
    index = first[..., None, None, None, None] + (rows[..., :, None] * line + columns[..., None, :])
    weights = row_weights[..., :, None] * column_weights[..., None, :]
    if groups > 1:
        cell = torch.arange(groups, device=boxes.device).view(size, size, 1, 1)
        index = index * groups + cell
    if reduce == "max":
        return _greatest(pixels, index, weights * sampling**2, sampling).to(maps[0].dtype)
    taps = 4 * sampling**2
    found = F.embedding_bag(index.reshape(-1, taps), pixels, per_sample_weights=weights.reshape(-1, taps), mode="sum")
    return found.view(images, -1, size, size, channels).permute(0, 1, 4, 2, 3).to(maps[0].dtype)


def _greatest(pixels: Tensor, index: Tensor, weights: Tensor, sampling: int) -> Tensor:
    """The greatest point of each cell, (N, P, C, size, size); taps are (..., size, size, 2 sampling, 2 sampling)."""
    shape = index.shape[:4]
    points = [x.reshape(*shape, sampling, 2, sampling, 2).transpose(5, 6) for x in (index, weights)]
    found = F.embedding_bag(points[0].reshape(-1, 4), pixels, per_sample_weights=points[1].reshape(-1, 4), mode="sum")
    return found.view(*shape, sampling**2, -1).amax(4).permute(0, 1, 4, 2, 3)


def _points(low: Tensor, high: Tensor, size: int, sampling: int) -> Tensor:
    """Where the points of each cell of boxes lie along one direction, in pixels of their level from the first's middle.

    Args:
        low: Where the boxes start, in steps of their level, (N, P).
        high: Where they end, (N, P).
        size: Cells of a box.
        sampling: Points of a cell.

    Returns:
        Positions (N, P, size, sampling).
    """
    steps = (torch.arange(size * sampling, device=low.device) + 0.5) / (size * sampling)
    at = low[..., None] + (high - low)[..., None] * steps - 0.5
    return at.view(*low.shape, size, sampling)


def _taps(at: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the pixels that each cell reads along one direction, and their weights.

    Args:
        at: Positions of its points, (N, P, rows, columns, sampling).
        limit: Pixels of its level in this direction, (N, P).

    Returns:
        Indexes and weights, (N, P, rows, columns, 2 * sampling); the weights of a cell inside the map add up to 1.
    """
    last = limit[..., None, None, None] - 1
    inside = (at >= -1) & (at <= last + 1)  # what lies further out counts as zero
    at = at.clamp(min=0).minimum(last)
    before = at.floor()
    after = (before + 1).minimum(last)
    share = at - before
    index = torch.stack([before, after], dim=-1).long()
    weight = torch.stack([1 - share, share], dim=-1) * (inside[..., None] / at.shape[-1])
    return index.flatten(-2), weight.flatten(-2)
