"""The module of `search_spaces.blocks.gated_conv`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search_spaces.networks.convolution import BatchNorm, resized


class GatedConvModule(nn.Module):
    """The guide as one channel, the weights of the positions, and the convolution of what they leave."""

    def __init__(self, channels: int, guide: int) -> None:
        super().__init__()
        # A guide of one channel is taken as it is.
        self.reduce = nn.Conv2d(guide, 1, 1) if guide > 1 else nn.Identity()
        both = channels + 1
        self.gate = nn.Sequential(
            BatchNorm(both),
            nn.Conv2d(both, both, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(both, 1, 1),
            BatchNorm(1),
            nn.Sigmoid(),
        )
        self.project = nn.Conv2d(channels, channels, 1, bias=False)

    def weights(self, x: Tensor, guide: Tensor) -> Tensor:
        """Returns the weight of each position, (N, 1, H, W), in (0, 1)."""
        found = resized(self.reduce(guide), (x.shape[2], x.shape[3]))
        out: Tensor = self.gate(torch.cat([x, found], dim=1))
        return out

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """Returns the map (N, C, H, W) of `x` (N, C, H, W) and a guide (N, G, h, w)."""
        out: Tensor = self.project(x * self.weights(x, guide) + x)
        return out
