"""The modules of `search_spaces.blocks.decoders_refine`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.convolution import BatchNorm, conv_norm, resized
from search_spaces.networks.decoders import Decoded, parts_of, size_of
from search_spaces.networks.decoders_dense import risen

if TYPE_CHECKING:
    from search_spaces.blocks.base import Pyramid
    from search_spaces.blocks.decoders_refine import Iterative, LinkNet, MaxUnpool, RefineNet


def _conv3(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class ResidualUnits(nn.Module):
    """Residual units of two 3x3 convolutions, each behind a ReLU."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        units = [nn.Sequential(nn.ReLU(), _conv3(width, width), nn.ReLU(), _conv3(width, width)) for _ in range(count)]
        self.units = nn.ModuleList(units)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the refined map (N, width, H, W)."""
        for unit in self.units:
            x = x + unit(x)
        return x


class ChainedPooling(nn.Module):
    """A map plus what a chain of poolings and convolutions makes of it, the results of all of them summed."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.links = nn.ModuleList(
            [nn.Sequential(nn.MaxPool2d(5, 1, padding=2), _conv3(width, width)) for _ in range(length)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map with its surroundings (N, width, H, W)."""
        out = path = x
        for link in self.links:
            path = link(path)
            out = out + path
        return out


class RefineLevel(nn.Module):
    """A backbone's map and what comes from below, refined, summed and pooled.

    Args:
        channels: Of the backbone's map.
        width: Channels of the level.
        chain: Number of poolings.
        lowest: Whether nothing comes from below.
    """

    def __init__(self, channels: int, width: int, chain: int, lowest: bool) -> None:
        super().__init__()
        self.adapt = nn.Sequential(_conv3(channels, width), ResidualUnits(width, 2))
        self.fine: nn.Module | None = None
        self.coarse: nn.Module | None = None
        if not lowest:
            self.fine = _conv3(width, width)
            self.coarse = nn.Sequential(ResidualUnits(width, 2), _conv3(width, width))
        self.pool = ChainedPooling(width, chain)
        self.after = ResidualUnits(width, 1)

    def forward(self, skip: Tensor, below: Tensor | None) -> Tensor:
        """Returns the level's map (N, width, H, W) of the backbone's (N, C, H, W) and the one below."""
        x = self.adapt(skip)
        if self.fine is not None and self.coarse is not None and below is not None:
            x = self.fine(x) + resized(self.coarse(below), size_of(x))
        out: Tensor = self.after(self.pool(F.relu(x)))
        return out


class RefineNetModule(nn.Module):
    """The levels, the coarsest first."""

    def __init__(self, spec: RefineNet, inputs: Pyramid) -> None:
        super().__init__()
        channels = [feature.channels for feature in reversed(inputs)]
        self.levels = nn.ModuleList([RefineLevel(c, spec.width, spec.chain, i == 0) for i, c in enumerate(channels)])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the map (N, width, h, w) at the size of the finest one, for maps (N, C_i, H_i, W_i)."""
        x: Tensor | None = None
        for level, skip in zip(self.levels, reversed(maps), strict=True):
            x = level(skip, x)
        assert x is not None
        return x


class LinkNetModule(nn.Module):
    """The bottlenecks, the coarsest first."""

    def __init__(self, spec: LinkNet, inputs: Pyramid) -> None:
        super().__init__()
        levels = []
        for finer, coarser in reversed(list(zip(inputs, inputs[1:], strict=False))):
            hidden = max(1, coarser.channels // spec.reduction)
            rise = nn.Sequential(
                risen(hidden, hidden, coarser.stride // finer.stride), BatchNorm(hidden), nn.ReLU(inplace=True)
            )
            levels.append(nn.Sequential(conv_norm(coarser.channels, hidden), rise, conv_norm(hidden, finer.channels)))
        self.levels = nn.ModuleList(levels)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the map (N, C_0, H_0, W_0) for maps (N, C_i, H_i, W_i)."""
        x = maps[-1]
        for level, skip in zip(self.levels, reversed(maps[:-1]), strict=True):
            x = level(x)[:, :, : skip.shape[2], : skip.shape[3]] + skip
        return x


class MaxUnpoolModule(nn.Module):
    """The levels, the coarsest first: convolutions to the channels of the finer map, and those after the unpooling."""

    def __init__(self, spec: MaxUnpool, inputs: Pyramid) -> None:
        super().__init__()
        self.before, self.after, self.ratios = nn.ModuleList(), nn.ModuleList(), []
        channels = inputs[-1].channels
        for i, (finer, coarser) in reversed(list(enumerate(zip(inputs, inputs[1:], strict=False)))):
            self.before.append(conv_norm(channels, finer.channels, 3))
            channels = spec.width * 2**i
            self.after.append(conv_norm(finer.channels, channels, 3))
            self.ratios.append(coarser.stride // finer.stride)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the map (N, width, h, w) at the size of the finest one, for maps (N, C_i, H_i, W_i)."""
        x = maps[-1]
        levels = zip(self.before, self.after, self.ratios, reversed(maps[:-1]), strict=True)
        for before, after, ratio, finer in levels:
            x = before(x)
            x = after(x if ratio == 1 else unpooled(x, finer, ratio))
        return x


def unpooled(x: Tensor, finer: Tensor, ratio: int) -> Tensor:
    """Returns `x` spread over a finer map: each number where that has the maximum of its cell, zeros elsewhere.

    Args:
        x: (N, C, ceil(H / ratio), ceil(W / ratio)).
        finer: (N, C, H, W).
        ratio: Height and width of a cell; those at the lower and right edge may be smaller.
    """
    _, places = F.max_pool2d(finer, ratio, ratio, ceil_mode=True, return_indices=True)
    return F.max_unpool2d(x, places, (ratio, ratio), output_size=size_of(finer))


class IterativeModule(nn.Module):
    """A decoder, and what joins its coarsest input with its last output."""

    def __init__(self, spec: Iterative, inputs: Pyramid) -> None:
        super().__init__()
        self.steps, self.reset, self.supervision = spec.steps, spec.reset, spec.supervision
        self.decoder = spec.decoder.build(inputs)
        channels, decoded = inputs[-1].channels, spec.outputs(inputs)[0].channels
        self.join: nn.Module | None = None
        if spec.steps:
            last = conv_norm(channels, channels, 3)[:2]  # what is added may be below 0
            self.join = nn.Sequential(conv_norm(channels + decoded, channels, 3), last)

    def forward(self, maps: Sequence[Tensor]) -> Decoded:
        """Returns what the decoder gives for maps (N, C_i, H_i, W_i) after all runs."""
        *finer, x = maps
        y, _ = parts_of(self.decoder(maps))
        earlier: list[Tensor] = []
        for _ in range(self.steps):
            assert self.join is not None
            earlier.insert(0, y)
            known = resized(self._remembered(y), size_of(x))
            y, _ = parts_of(self.decoder((*finer, x + self.join(torch.cat([x, known], dim=1)))))
        return {"out": y, "aux": tuple(earlier)} if self.training and self.supervision else y

    def _remembered(self, y: Tensor) -> Tensor:
        if not self.training or self.reset == 0:
            return y
        return y * y.new_empty(y.shape[0], 1, 1, 1).bernoulli_(1 - self.reset)
