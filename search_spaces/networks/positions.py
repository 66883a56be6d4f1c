"""Where a position lies, as numbers: coordinates, sines and cosines, one-hot cells, learned vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from search_spaces.networks.convolution import resized

# Rows and columns of what is kept for maps of any size: learned vectors, one-hot cells.
GRID = 16


def sinusoid(positions: Tensor, channels: int, wavelength: float = 10_000.0) -> Tensor:
    """Returns sin(p / wavelength^(2i / channels)), i = 0, 1, ..., each followed by its cosine.

    The squared length of every vector is channels / 2; the product of two depends on the distance of their positions.

    Args:
        positions: Real numbers, (...).
        channels: Length of the vectors, even.
        wavelength: 1 / (2 pi) of the longest period, about.

    Returns:
        Vectors (..., channels) in float32.

    Paper: Vaswani et al., 2017, arXiv 1706.03762, section 3.5.
    """
    steps = torch.arange(0, channels, 2, device=positions.device, dtype=torch.float32)
    angles = positions.float()[..., None] * torch.exp(steps * (-math.log(wavelength) / channels))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def sinusoid_grid(height: int, width: int, channels: int, device: torch.device | None = None) -> Tensor:
    """Returns a sinusoidal vector a position, (channels, height, width): half of it for the row, half for the column.

    Args:
        height: Rows.
        width: Columns.
        channels: Length of the vectors, a multiple of 4.
        device: Where the result lies.
    """
    rows = sinusoid(torch.arange(height, device=device), channels // 2).T[:, :, None].expand(-1, -1, width)
    columns = sinusoid(torch.arange(width, device=device), channels // 2).T[:, None, :].expand(-1, height, -1)
    return torch.cat([rows, columns])


def coordinate_grid(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Returns (x, y) of the middle of each position, (2, height, width); the map's borders lie at -1 and 1."""
    x = (2 * torch.arange(width, device=device, dtype=torch.float32) + 1) / width - 1
    y = (2 * torch.arange(height, device=device, dtype=torch.float32) + 1) / height - 1
    return torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)])


def one_hot_grid(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Returns, for each position, which of 16 columns of cells and which of 16 rows it lies in, (32, height, width)."""
    cells = ((coordinate_grid(height, width, device) + 1) * (GRID / 2)).long()
    return torch.cat([(cells[i] == torch.arange(GRID, device=device)[:, None, None]).float() for i in (0, 1)])


class SinusoidalPositions(nn.Module):
    """A map plus the sinusoidal vectors of its positions."""

    def forward(self, x: Tensor) -> Tensor:
        """Returns the sum, (N, C, H, W); C is a multiple of 4."""
        return x + sinusoid_grid(x.shape[2], x.shape[3], x.shape[1], x.device).to(x.dtype)


class LearnedPositions(nn.Module):
    """A map plus a learned grid of 16 x 16 vectors, resized to the map.

    Paper: Dosovitskiy et al., 2020, arXiv 2010.11929, section 3.2 (vectors are interpolated for other sizes).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.grid = nn.Parameter(torch.empty(1, channels, GRID, GRID))
        nn.init.normal_(self.grid, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the sum, (N, C, H, W)."""
        return x + resized(self.grid, (x.shape[2], x.shape[3])).to(x.dtype)


def positions(kind: str, channels: int) -> nn.Module:
    """Returns the module that adds to a map of `channels` channels where its positions lie.

    Args:
        kind: `none`, `sin` or `learned`.
        channels: Channels of the map; a multiple of 4 for `sin`.
    """
    if kind == "none":
        return nn.Identity()
    return SinusoidalPositions() if kind == "sin" else LearnedPositions(channels)
