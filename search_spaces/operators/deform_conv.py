"""Convolution whose taps lie at positions that need not be whole pixels, by bilinear interpolation.

Paper: Dai et al., 2017, arXiv 1703.06211, section 2.1; with a mask: Zhu et al., 2018, arXiv 1811.11168, section 2.2.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.operators import compiled

Pair = tuple[int, int]


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    mask: Tensor | None = None,
) -> Tensor:
    """Returns a convolution whose taps are moved, each at each position.

    Args:
        x: Maps (N, C, H, W); beyond them there are zeros.
        offset: How far the taps are moved in pixels of `x`, (N, 2 * G * K, h, w) for G groups of channels and K taps;
            down and right in turn for each tap, the taps of a group row by row, group after group.
        weight: Filters (O, C, rows, columns), K = rows * columns.
        stride: Steps, vertical and horizontal.
        padding: Zeros on each side, vertical and horizontal.
        dilation: Distance of the taps that are not moved, vertical and horizontal.
        mask: What the value at each tap is multiplied by, (N, G * K, h, w); None: 1.

    Returns:
        Maps (N, O, h, w) in the precision of `x`.
    """
    ops = compiled()
    if ops is None or torch.compiler.is_compiling() or x.is_meta:
        return plain_deform_conv2d(x, offset, weight, stride, padding, dilation, mask)
    precise = _precise(x)
    values = [None if value is None else value.to(precise) for value in (x, offset, weight, mask)]
    found: Tensor = ops.deform_conv2d(*values[:3], None, stride, padding, dilation, values[3])
    return found.to(x.dtype)


def plain_deform_conv2d(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    mask: Tensor | None = None,
) -> Tensor:
    """Returns what `deform_conv2d` does, without a compiled operator."""
    kernel = weight.shape[2:]
    taps, (height, width) = kernel[0] * kernel[1], offset.shape[2:]
    moved = offset.to(_precise(x)).reshape(offset.shape[0], -1, taps, 2, height, width)
    rows = _taps(kernel[0], dilation[0], padding[0], moved).repeat_interleave(kernel[1])
    columns = _taps(kernel[1], dilation[1], padding[1], moved).repeat(kernel[0])
    down = _steps(height, stride[0], moved)[:, None] + rows[:, None, None]
    right = _steps(width, stride[1], moved) + columns[:, None, None]
    values = sample(x, down + moved[:, :, :, 0], right + moved[:, :, :, 1])
    if mask is not None:
        groups = offset.shape[1] // (2 * taps)
        weights = mask.reshape(mask.shape[0], groups, 1, taps, height, width)
        values = (values.reshape(mask.shape[0], groups, -1, taps, height, width) * weights).flatten(1, 2)
    found = weight.flatten(1) @ values.flatten(3).flatten(1, 2).to(x.dtype)
    return found.reshape(x.shape[0], -1, height, width)


def sample(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Returns the values of maps at any positions, interpolated between four pixels; beyond the maps there are zeros.

    Args:
        x: Maps (N, C, H, W); pixel i stands at position i.
        rows: Vertical positions (N, G, K, h, w), or (1, G, K, h, w) for all maps alike; G groups share the channels.
        columns: Horizontal positions, as `rows`.

    Returns:
        Values (N, C, K, h, w), in float32 if the maps are less precise: bfloat16 cannot tell pixels apart.
    """
    images, channels, height, width = x.shape
    groups = rows.shape[1]
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=-1)
    grid = grid.expand(images, *grid.shape[1:]).flatten(0, 1).flatten(1, 2).to(_precise(x))
    maps = x.to(_precise(x)).reshape(images * groups, channels // groups, height, width)
    found = F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return found.reshape(images, channels, *rows.shape[2:])


def _precise(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _taps(count: int, dilation: int, padding: int, like: Tensor) -> Tensor:
    return torch.arange(count, device=like.device, dtype=like.dtype) * dilation - padding


def _steps(count: int, stride: int, like: Tensor) -> Tensor:
    return torch.arange(count, device=like.device, dtype=like.dtype) * stride
