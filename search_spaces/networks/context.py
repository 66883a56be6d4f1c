"""The modules of `search_spaces.blocks.context`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_spaces.networks.convolution import conv_norm, resized

if TYPE_CHECKING:
    from search_spaces.blocks.context import Aspp, Cpm, Psp


class PooledContext(nn.Module):
    """A map pooled over a grid, reduced by a 1x1 convolution and spread over the map again."""

    def __init__(self, inputs: int, outputs: int, bins: int, pool: str = "average") -> None:
        super().__init__()
        self.pool = nn.AdaptiveMaxPool2d(bins) if pool == "max" else nn.AdaptiveAvgPool2d(bins)
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
        self.branches = nn.ModuleList([PooledContext(channels, width, bins, spec.pool) for bins in spec.bins])

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map with context (N, 2C, H, W) of a map (N, C, H, W)."""
        return torch.cat([x, *[branch(x) for branch in self.branches]], dim=1)


class SshModule(nn.Module):
    """Convolutions side by side that see 3x3, 5x5 and 7x7."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.near = conv_norm(inputs, outputs // 2, 3)
        self.first = conv_norm(inputs, outputs // 4, 3)
        self.wide = conv_norm(outputs // 4, outputs // 4, 3)
        self.wider = nn.Sequential(conv_norm(outputs // 4, outputs // 4, 3), conv_norm(outputs // 4, outputs // 4, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map with its surroundings (N, outputs, H, W) of a map (N, inputs, H, W)."""
        first = self.first(x)
        return torch.cat([self.near(x), self.wide(first), self.wider(first)], dim=1)


class CpmModule(nn.Module):
    """A residual bottleneck of 1x1 convolutions, then `SshModule`."""

    def __init__(self, spec: Cpm, channels: int) -> None:
        super().__init__()
        inner, outer = spec.hidden, 4 * spec.hidden
        self.residual = nn.Sequential(conv_norm(channels, inner), conv_norm(inner, inner), conv_norm(inner, outer)[:2])
        self.shortcut = conv_norm(channels, outer)[:2]
        self.relu = nn.ReLU(inplace=True)
        self.surroundings = SshModule(outer, spec.width)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map with its surroundings (N, width, H, W) of a map (N, C, H, W)."""
        out: Tensor = self.surroundings(self.relu(self.residual(x) + self.shortcut(x)))
        return out
