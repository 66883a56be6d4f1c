"""The modules of `search_spaces.blocks.fusion`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_spaces.networks.convolution import conv_norm, resized

if TYPE_CHECKING:
    from search_spaces.blocks.fusion import CascadeFusion, WeightedAdd

FAST_EPSILON = 1e-4


def to_first(maps: Sequence[Tensor], mode: str = "bilinear") -> list[Tensor]:
    """Returns the maps (N, C_i, H_i, W_i), all resized to height and width of the first."""
    size = (maps[0].shape[2], maps[0].shape[3])
    return [resized(x, size, mode) for x in maps]


class AddModule(nn.Module):
    """The sum of maps, those with other channels than the first behind a 1x1 convolution."""

    def __init__(self, channels: Sequence[int] = ()) -> None:
        super().__init__()
        self.align = _alignments(channels)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the sum (N, C, H, W) of maps (N, C_i, H_i, W_i), of the size of the first."""
        first, *others = to_first(_aligned(self.align, maps))
        for x in others:
            first = first + x
        return first


class WeightedAddModule(nn.Module):
    """The sum of maps, each times a number."""

    def __init__(self, spec: WeightedAdd, channels: Sequence[int]) -> None:
        super().__init__()
        self.normalizer = spec.normalizer
        self.align = _alignments(channels)
        start = {"none": 1 / len(channels), "softmax": 0.0, "fast": 1.0}[spec.normalizer]
        self.weights = nn.Parameter(torch.full((len(channels),), start))

    def normalized(self) -> Tensor:
        """Returns what the maps are multiplied by."""
        if self.normalizer == "softmax":
            return self.weights.softmax(0)
        if self.normalizer == "fast":
            positive = self.weights.relu()
            return positive / (positive.sum() + FAST_EPSILON)
        return self.weights

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the weighed sum (N, C, H, W) of maps (N, C_i, H_i, W_i), of the size of the first."""
        weights = self.normalized()
        first, *others = to_first(_aligned(self.align, maps))
        total = first * weights[0]
        for i, x in enumerate(others, 1):
            total = total + x * weights[i]
        return total


class ProductModule(nn.Module):
    """The product of maps."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the product (N, C, H, W) of maps (N, C, H_i, W_i), of the size of the first."""
        first, *others = to_first(maps)
        for x in others:
            first = first * x
        return first


class ConcatModule(nn.Module):
    """Maps side by side, reduced by a 1x1 convolution where a width is given."""

    def __init__(self, channels: int = 0, width: int | None = None) -> None:
        super().__init__()
        self.reduce = None if width is None else conv_norm(channels, width)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the maps (N, C_i, H_i, W_i) as one (N, sum of C_i or width, H, W), of the size of the first."""
        joined = torch.cat(to_first(maps), dim=1)
        out: Tensor = joined if self.reduce is None else self.reduce(joined)
        return out


class CascadeModule(nn.Module):
    """A 1x1 convolution of the first map, dilated 3x3 ones of the others, and their sum."""

    def __init__(self, spec: CascadeFusion, channels: Sequence[int]) -> None:
        super().__init__()
        width = spec.width or channels[0]
        convs = [conv_norm(channels[0], width), *(conv_norm(c, width, 3, spec.dilation) for c in channels[1:])]
        self.convs = nn.ModuleList([made[:2] for made in convs])  # the ReLU comes after the sum
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the map (N, width, H, W) of maps (N, C_i, H_i, W_i), of the size of the first."""
        found = [conv(x) for conv, x in zip(self.convs, to_first(maps), strict=True)]
        total = found[0]
        for x in found[1:]:
            total = total + x
        out: Tensor = self.relu(total)
        return out


def _alignments(channels: Sequence[int]) -> nn.ModuleList | None:
    if len(set(channels)) < 2:
        return None
    return nn.ModuleList([nn.Identity() if c == channels[0] else nn.Conv2d(c, channels[0], 1) for c in channels])


def _aligned(alignments: nn.ModuleList | None, maps: Sequence[Tensor]) -> Sequence[Tensor]:
    if alignments is None:
        return maps
    return [conv(x) for conv, x in zip(alignments, maps, strict=True)]
