"""The modules of `search_spaces.blocks.context`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_spaces.networks.convolution import conv_norm, resized

if TYPE_CHECKING:
    from search_spaces.blocks.context import Aspp, Psp


class PooledContext(nn.Module):
    """The average of a map over a grid, reduced by a 1x1 convolution and spread over the map again."""

    def __init__(self, inputs: int, outputs: int, bins: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(bins)
        self.conv = conv_norm(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the context (N, outputs, H, W) of a map (N, inputs, H, W)."""
        return resized(self.conv(self.pool(x)), (x.shape[2], x.shape[3]))


class AsppModule(nn.Module):
    """Branches side by side, joined by a 1x1 convolution."""

    def __init__(self, spec: Aspp, channels: int) -> None:
        super().__init__()
        dilated = [conv_norm(channels, spec.width, 3, rate) for rate in spec.rates]
        pooled = PooledContext(channels, spec.width, 1)
        self.branches = nn.ModuleList([conv_norm(channels, spec.width), *dilated, pooled])
        self.project = conv_norm(len(self.branches) * spec.width, spec.width)
        self.dropout = nn.Dropout(spec.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map with context (N, width, H, W) of a map (N, C, H, W)."""
        joined = torch.cat([branch(x) for branch in self.branches], dim=1)
        out: Tensor = self.dropout(self.project(joined))
        return out


class PspModule(nn.Module):
    """The map and its pooled contexts, concatenated."""

    def __init__(self, spec: Psp, channels: int) -> None:
        super().__init__()
        width = channels // len(spec.bins)
        self.branches = nn.ModuleList([PooledContext(channels, width, bins) for bins in spec.bins])

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map with context (N, 2C, H, W) of a map (N, C, H, W)."""
        return torch.cat([x, *[branch(x) for branch in self.branches]], dim=1)
