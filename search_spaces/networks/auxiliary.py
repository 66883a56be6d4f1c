"""The module of the auxiliary classifier of `search_spaces.blocks.auxiliary`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Grid(nn.AdaptiveAvgPool2d):
    """The averages of the coarsest map over a grid."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:  # type: ignore[override]
        """Returns the averages (N, C, cells, cells) of the last of the maps (N, C_i, H_i, W_i)."""
        return super().forward(maps[-1])
