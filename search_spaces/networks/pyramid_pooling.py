"""The module of `search_spaces.blocks.pyramid_pooling`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class SpatialPyramidModule(nn.Module):
    """Maxima over grids of several sizes."""

    def __init__(self, bins: Sequence[int]) -> None:
        super().__init__()
        self.pools = nn.ModuleList([nn.AdaptiveMaxPool2d(n) for n in bins])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the maxima (N, C * cells) of the last of the maps (N, C_i, H_i, W_i)."""
        return torch.cat([pool(maps[-1]).flatten(1) for pool in self.pools], dim=1)
