"""The modules of `search_spaces.blocks.stems`."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_spaces.blocks.convolution import ConvPlan
from search_spaces.networks.convolution import conv, he

if TYPE_CHECKING:
    from search_spaces.blocks.normalization import Norm


def plain_stem(inputs: int, width: int, norm: Norm, kernel: int, stride: int, pool: bool) -> nn.Sequential:
    """Returns convolution, norm, ReLU and, where asked for, a 3x3 max pooling of stride 2.

    Args:
        inputs: Channels of the image.
        width: Channels that come out.
        norm: What follows the convolution.
        kernel: Height and width of the filters, odd.
        stride: Step of the convolution.
        pool: Whether the pooling follows.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv1"] = he(conv(ConvPlan(inputs, width, (kernel, kernel), (stride, stride))))
    layers["bn1"] = norm.build(width)
    layers["relu"] = nn.ReLU(inplace=True)
    if pool:
        layers["maxpool"] = nn.MaxPool2d(3, 2, padding=1)
    return nn.Sequential(layers)


def parallel_stem(inputs: int, width: int, norm: Norm) -> nn.Sequential:
    """Returns a strided convolution of half the width, and pooling and convolution side by side.

    Args:
        inputs: Channels of the image.
        width: Channels that come out.
        norm: What follows each convolution.
    """
    half = max(1, width // 2)
    stem = plain_stem(inputs, half, norm, kernel=3, stride=2, pool=False)
    stem.add_module("reduce", PooledAndStrided(half, half, norm))
    if 2 * half != width:
        stem.add_module("project", he(conv(ConvPlan(2 * half, width, (1, 1)))))
    return stem


def _conv_norm(inputs: int, outputs: int, norm: Norm, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    place = ConvPlan(inputs, outputs, (kernel, kernel), (stride, stride))
    return nn.Sequential(he(conv(place)), norm.build(outputs), nn.ReLU(inplace=True))


class PooledAndStrided(nn.Module):
    """A 3x3 max pooling and a 3x3 convolution of stride 2, side by side."""

    def __init__(self, inputs: int, outputs: int, norm: Norm) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.conv = _conv_norm(inputs, outputs, norm, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Returns (N, C + outputs, h, w) for (N, C, H, W)."""
        return torch.cat([self.pool(x), self.conv(x)], dim=1)


class ParallelReductionModule(PooledAndStrided):
    """The same, and a chain of a 1x1 and two 3x3 convolutions beside them."""

    def __init__(self, inputs: int, norm: Norm) -> None:
        half = max(1, inputs // 2)
        super().__init__(inputs, half, norm)
        self.chain = nn.Sequential(
            _conv_norm(inputs, half, norm, kernel=1), _conv_norm(half, half, norm), _conv_norm(half, half, norm, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Returns (N, C + 2 (C / 2), h, w) for (N, C, H, W)."""
        return torch.cat([super().forward(x), self.chain(x)], dim=1)
