"""The modules of `search_spaces.blocks.gates`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.convolution import BatchNorm, resized

if TYPE_CHECKING:
    from search_spaces.blocks.gates import AttentionGate


class AttentionGateModule(nn.Module):
    """One weight a position."""

    def __init__(self, spec: AttentionGate, channels: int, guide: int) -> None:
        super().__init__()
        inner = max(1, channels // spec.reduction)
        self.map = nn.Conv2d(channels, inner, 1, bias=False)
        self.guide = nn.Conv2d(guide, inner, 1)
        self.relu = nn.ReLU(inplace=True)
        self.score = nn.Conv2d(inner, 1, 1)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """Returns a map (N, C, H, W), weighed; the guide is (N, G, h, w)."""
        return x * self.weights(x, guide)

    def weights(self, x: Tensor, guide: Tensor) -> Tensor:
        """Returns the weights (N, 1, H, W) of a map (N, C, H, W) by its guide (N, G, h, w)."""
        size = (guide.shape[2], guide.shape[3])
        own = self.map(F.adaptive_avg_pool2d(x, size))
        weights = self.score(self.relu(own + self.guide(guide))).sigmoid()
        return resized(weights, (x.shape[2], x.shape[3]))


class ThunderSamModule(nn.Module):
    """One weight a value."""

    def __init__(self, channels: int, guide: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(guide, channels, 1, bias=False)
        self.norm = BatchNorm(channels)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """Returns a map (N, C, H, W), weighed; the guide is (N, G, h, w)."""
        logits = resized(self.norm(self.conv(guide)), (x.shape[2], x.shape[3]))
        return x * logits.sigmoid()
