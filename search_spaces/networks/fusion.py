"""The modules of `search_spaces.blocks.fusion`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from search_spaces.networks.convolution import resized


def to_first(maps: Sequence[Tensor], mode: str = "bilinear") -> list[Tensor]:
    """Returns the maps (N, C_i, H_i, W_i), all resized to height and width of the first."""
    size = (maps[0].shape[2], maps[0].shape[3])
    return [resized(x, size, mode) for x in maps]


class AddModule(nn.Module):
    """The sum of maps."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the sum (N, C, H, W) of maps (N, C, H_i, W_i), of the size of the first."""
        first, *others = to_first(maps)
        for x in others:
            first = first + x
        return first


class ConcatModule(nn.Module):
    """Maps side by side."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the maps (N, C_i, H_i, W_i) as one (N, sum of C_i, H, W), of the size of the first."""
        return torch.cat(to_first(maps), dim=1)
