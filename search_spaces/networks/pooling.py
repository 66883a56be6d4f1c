"""The modules of `search_spaces.blocks.pooling`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class AverageModule(nn.Module):
    """The average of the coarsest map."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the averages (N, C) of the last of the maps (N, C_i, H_i, W_i)."""
        return maps[-1].mean((2, 3))
