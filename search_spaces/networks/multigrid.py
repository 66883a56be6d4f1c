"""The module of `search_spaces.blocks.multigrid`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.convolution import BatchNorm, resized

if TYPE_CHECKING:
    from search_spaces.blocks.base import Pyramid
    from search_spaces.blocks.multigrid import Multigrid


class MultigridLayer(nn.Module):
    """One convolution a map, which reads the map and its neighbours.

    Args:
        channels: Of the maps that go in.
        width: Channels of those that come out.
        ratios: Stride of each map but the first over that of the one before.
        kernel: Height and width of the filters.
    """

    def __init__(self, channels: Sequence[int], width: int, ratios: Sequence[int], kernel: int) -> None:
        super().__init__()
        self.ratios = tuple(ratios)
        seen = [sum(channels[max(0, i - 1) : i + 2]) for i in range(len(channels))]
        self.convs = nn.ModuleList([nn.Conv2d(count, width, kernel, padding=kernel // 2) for count in seen])

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Returns maps (N, width, H_i, W_i) of the maps (N, C_i, H_i, W_i), from the finest to the coarsest."""
        found = []
        for i, (x, conv) in enumerate(zip(maps, self.convs, strict=True)):
            parts = [x]
            if i > 0:
                ratio = self.ratios[i - 1]
                parts.insert(0, F.max_pool2d(maps[i - 1], ratio, ratio, ceil_mode=True) if ratio > 1 else maps[i - 1])
            if i + 1 < len(maps):
                parts.append(resized(maps[i + 1], (x.shape[2], x.shape[3]), "nearest"))
            found.append(conv(torch.cat(parts, dim=1)))
        return tuple(found)


class MultigridModule(nn.Module):
    """Layers, with batch norm and ReLU between them."""

    def __init__(self, spec: Multigrid, inputs: Pyramid) -> None:
        super().__init__()
        self.scales = len(inputs)
        ratios = [after.stride // before.stride for before, after in zip(inputs, inputs[1:], strict=False)]
        channels = [feature.channels for feature in inputs]
        inner = [spec.width] * len(inputs)
        self.layers = nn.ModuleList(
            [MultigridLayer(inner if i else channels, spec.width, ratios, spec.kernel) for i in range(spec.layers)]
        )
        self.norms = nn.ModuleList(
            [nn.ModuleList([BatchNorm(spec.width) for _ in inputs]) for _ in range(spec.layers - 1)]
        )

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Returns the pyramid (N, width, H_i, W_i) of the last of the maps (N, C_i, H_i, W_i), finest first."""
        found: tuple[Tensor, ...] = self.layers[0](maps[-self.scales :])
        for norms, layer in zip(self.norms, self.layers[1:], strict=True):
            assert isinstance(norms, nn.ModuleList)
            found = layer([F.relu(norm(x)) for norm, x in zip(norms, found, strict=True)])
        return found
