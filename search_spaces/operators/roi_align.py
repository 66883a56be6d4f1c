"""RoIAlign: a map of fixed size for each box, by bilinear interpolation at points that are not rounded.

Paper: He et al., 2017, arXiv 1703.06870, section 3; levels: Lin et al., 2017, arXiv 1612.03144, equation 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.operators import compiled

# A box of 224 pixels belongs to the level of stride 16.
CANONICAL_STRIDES = 14.0


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
    ops = compiled()
    if ops is None or torch.compiler.is_compiling() or boxes.is_meta:
        return plain_roi_align(maps, boxes, strides, size, sampling)
    levels = box_levels(boxes, strides)
    out = maps[0].new_zeros(*boxes.shape[:2], maps[0].shape[1], size, size)
    for level, (x, stride) in enumerate(zip(maps, strides, strict=True)):
        image, which = torch.nonzero(levels == level, as_tuple=True)
        rois = torch.cat([image[:, None].to(boxes), boxes[image, which]], dim=1).to(x)
        found = ops.roi_align(x, rois, size, 1 / stride, sampling, aligned=True)
        out = out.index_put((image, which), found)
    return out


def plain_roi_align(
    maps: Sequence[Tensor], boxes: Tensor, strides: Sequence[int], size: int = 7, sampling: int = 2
) -> Tensor:
    """Returns what `roi_align` does, without a compiled operator.

    Each cell is a weighted sum of pixels, four a point; one `embedding_bag` over the pixels of all levels adds them up.
    """
    images, channels = maps[0].shape[:2]
    # Interpolation is in float32: bfloat16 cannot even tell positions on a map of 300 pixels apart.
    pixels = torch.cat([x.flatten(2) for x in maps], dim=2).transpose(1, 2).reshape(-1, channels).float()
    levels = box_levels(boxes, strides)
    table = [(x.shape[2], x.shape[3], stride) for x, stride in zip(maps, strides, strict=True)]
    heights, widths, steps = boxes.new_tensor(table).float()[levels].unbind(-1)
    starts = [0]
    for height, width, _ in table:
        starts.append(starts[-1] + height * width)
    first = torch.tensor(starts[:-1], device=boxes.device)[levels]
    first = first + torch.arange(images, device=boxes.device)[:, None] * starts[-1]

    corners = boxes.detach().float() / steps[..., None]
    rows, row_weights = _taps(corners[..., 1], corners[..., 3], heights, size, sampling)
    columns, column_weights = _taps(corners[..., 0], corners[..., 2], widths, size, sampling)
    index = first[..., None, None, None, None] + (
        rows[..., :, None, :, None] * widths.long()[..., None, None, None, None] + columns[..., None, :, None, :]
    )
    weights = row_weights[..., :, None, :, None] * column_weights[..., None, :, None, :]
    taps = 4 * sampling**2
    index, weights = index.reshape(-1, taps), weights.reshape(-1, taps)
    found = F.embedding_bag(index, pixels, per_sample_weights=weights, mode="sum")
    return found.view(images, -1, size, size, channels).permute(0, 1, 4, 2, 3).to(maps[0].dtype)


def _taps(low: Tensor, high: Tensor, limit: Tensor, size: int, sampling: int) -> tuple[Tensor, Tensor]:
    """Returns the pixels that each cell of each box reads along one direction, and their weights.

    Args:
        low: Where the boxes start, in steps of their level, (N, P).
        high: Where they end, (N, P).
        limit: Pixels of their level in this direction, (N, P).
        size: Cells of a box.
        sampling: Points of a cell.

    Returns:
        Indexes and weights, (N, P, size, 2 * sampling); the weights of a cell inside the map add up to 1.
    """
    steps = (torch.arange(size * sampling, device=low.device) + 0.5) / (size * sampling)
    at = low[..., None] + (high - low)[..., None] * steps - 0.5
    last = limit[..., None] - 1
    inside = (at >= -1) & (at <= last + 1)  # what lies further out counts as zero
    at = at.clamp(min=0).minimum(last)
    before = at.floor()
    after = (before + 1).minimum(last)
    share = at - before
    index = torch.stack([before, after], dim=-1).long()
    weight = torch.stack([1 - share, share], dim=-1) * (inside[..., None] / sampling)
    shape = (*low.shape, size, 2 * sampling)
    return index.reshape(shape), weight.reshape(shape)
