"""The modules of `search_spaces.blocks.deconvolution`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from search_spaces.networks.convolution import BatchNorm, conv_norm

if TYPE_CHECKING:
    from search_spaces.blocks.deconvolution import GroupedDeconvolution


class GroupedDeconvolutionModule(nn.Module):
    """Transposed convolutions and 1x1 ones in turn."""

    def __init__(self, spec: GroupedDeconvolution, channels: int, level: int) -> None:
        super().__init__()
        self.level = level
        layers: list[nn.Module] = []
        for _ in range(spec.stages):
            groups = math.gcd(channels, spec.width)
            deconv = nn.ConvTranspose2d(channels, spec.width, 4, 2, padding=1, groups=groups, bias=False)
            layers += [deconv, BatchNorm(spec.width), nn.ReLU(inplace=True), conv_norm(spec.width, spec.width)]
            channels = spec.width
        self.layers = nn.Sequential(*layers)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns a map (N, width, H, W) of the size of one of the maps (N, C_i, H_i, W_i)."""
        height, width = maps[self.level].shape[2:]
        out: Tensor = self.layers(maps[-1])
        return out[:, :, :height, :width]
