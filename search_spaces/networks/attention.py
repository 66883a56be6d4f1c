"""The modules of `search_spaces.blocks.attention`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_spaces.networks.convolution import BatchNorm, conv_norm
from search_spaces.networks.layers import MatMul

if TYPE_CHECKING:
    from search_spaces.blocks.attention import Cbam, SqueezeExcitation


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


class CbamModule(nn.Module):
    """The channel gate, then the spatial gate."""

    def __init__(self, spec: Cbam, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // spec.reduction)
        reduce = nn.Conv2d(channels, hidden, 1, bias=False)
        self.mlp = nn.Sequential(reduce, nn.ReLU(inplace=True), nn.Conv2d(hidden, channels, 1, bias=False))
        self.conv = nn.Conv2d(2, 1, spec.kernel, padding=spec.kernel // 2, bias=False)
        self.norm = BatchNorm(1)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, C, H, W), weighed twice."""
        x = x * self.channel_gate(x)
        return x * self.spatial_gate(x)

    def channel_gate(self, x: Tensor) -> Tensor:
        """Returns a weight a channel, (N, C, 1, 1), of a map (N, C, H, W)."""
        mean, greatest = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        logits: Tensor = self.mlp(mean) + self.mlp(greatest)
        return logits.sigmoid()

    def spatial_gate(self, x: Tensor) -> Tensor:
        """Returns a weight a position, (N, 1, H, W), of a map (N, C, H, W)."""
        figures = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        logits: Tensor = self.norm(self.conv(figures))
        return logits.sigmoid()


class GramModule(nn.Module):
    """Channels mixed by the softmax of their Gram matrix, times `factor`, added to the map."""

    def __init__(self, energy: str) -> None:
        super().__init__()
        self.energy = energy
        self.gram = MatMul()
        self.mix = MatMul()
        self.factor = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, C, H, W) of a map of the same shape."""
        mixed = self.mix(self.weights(x), x.flatten(2)).reshape(x.shape)
        out: Tensor = self.factor * mixed + x
        return out

    def weights(self, x: Tensor) -> Tensor:
        """Returns how much each channel takes of each, (N, C, C), rows adding up to 1, for a map (N, C, H, W)."""
        rows = x.flatten(2)
        gram: Tensor = self.gram(rows, rows.transpose(1, 2))
        # The softmax of (maximum - G) is that of -G.
        return (gram if self.energy == "plain" else -gram).softmax(dim=2)


class CfamModule(nn.Module):
    """The mixture of channels between two convolutions before and two behind."""

    def __init__(self, energy: str, channels: int, inner: int) -> None:
        super().__init__()
        self.before = nn.Sequential(conv_norm(channels, inner), conv_norm(inner, inner, 3))
        self.attention = GramModule(energy)
        self.behind = nn.Sequential(conv_norm(inner, inner, 3), nn.Conv2d(inner, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, C, H, W) of a map of the same shape."""
        out: Tensor = self.behind(self.attention(self.before(x)))
        return out
