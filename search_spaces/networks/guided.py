"""The modules of `search_spaces.blocks.guided`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from search_spaces.networks.convolution import BatchNorm, conv_norm, resized

if TYPE_CHECKING:
    from search_spaces.blocks.guided import GlobalAttentionUpsample


class GauModule(nn.Module):
    """One step a finer map, from the coarsest on."""

    def __init__(self, spec: GlobalAttentionUpsample, channels: Sequence[int]) -> None:
        super().__init__()
        steps = [GauStep(fine, channels[-1], spec.activation) for fine in reversed(channels[:-1])]
        self.steps = nn.ModuleList(steps)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the map (N, C of the last, H, W) of maps (N, C_i, H_i, W_i), of the size of the first."""
        x = maps[-1]
        for step, fine in zip(self.steps, reversed(maps[:-1]), strict=True):
            x = step(x, fine)
        return x


class GauStep(nn.Module):
    """A coarse map, resized, plus what its average lets through of a fine one."""

    def __init__(self, fine: int, coarse: int, activation: str) -> None:
        super().__init__()
        self.refine = conv_norm(fine, coarse, 3)
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(coarse, coarse, 1, bias=False),
            BatchNorm(coarse),
            nn.ReLU(inplace=True) if activation == "relu" else nn.Sigmoid(),
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Returns the map (N, C, H, W) of a coarse one (N, C, h, w) and a fine one (N, F, H, W)."""
        taken: Tensor = self.refine(fine) * self.weigh(coarse)
        return resized(coarse, (fine.shape[2], fine.shape[3])) + taken
