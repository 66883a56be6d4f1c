"""The modules of `search_spaces.blocks.attention`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from search_spaces.blocks.attention import SqueezeExcitation


class SqueezeExcitationModule(nn.Module):
    """Average, two linear layers, sigmoid, product."""

    def __init__(self, spec: SqueezeExcitation, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // spec.reduction)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.relu = nn.ReLU(inplace=True)
        self.expand = nn.Conv2d(hidden, channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Returns the weighed map (N, C, H, W)."""
        out: Tensor = x * self.sigmoid(self.expand(self.relu(self.reduce(self.pool(x)))))
        return out
