"""The modules of `search_spaces.blocks.decoders`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_spaces.blocks.necks import Fpn
from search_spaces.networks.convolution import conv_norm, group_norm, resized

if TYPE_CHECKING:
    from search_spaces.blocks.base import Feature, Pyramid
    from search_spaces.blocks.decoders import DeepLabV3Plus, PanopticFpn, Unet


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[2], x.shape[3]


class DeepLabModule(nn.Module):
    """The coarsest map beside a reduced fine one, then two 3x3 convolutions."""

    def __init__(self, spec: DeepLabV3Plus, inputs: Pyramid) -> None:
        super().__init__()
        self.low = spec.low
        self.reduce = conv_norm(inputs[spec.low].channels, spec.low_width)
        joined = inputs[-1].channels + spec.low_width
        self.refine = nn.Sequential(conv_norm(joined, spec.width, 3), conv_norm(spec.width, spec.width, 3))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the map (N, width, h, w) at the size of the fine one, for maps (N, C_i, H_i, W_i)."""
        low = self.reduce(maps[self.low])
        out: Tensor = self.refine(torch.cat([resized(maps[-1], _size(low)), low], dim=1))
        return out


class PanopticFpnModule(nn.Module):
    """A feature pyramid, a branch a level, and their merger."""

    def __init__(self, spec: PanopticFpn, inputs: Pyramid) -> None:
        super().__init__()
        neck = Fpn(width=spec.pyramid_width, fusion=spec.fusion)
        self.pyramid = neck.build(inputs)
        self.branches = nn.ModuleList([_branch(spec, inputs[0], feature) for feature in inputs])
        self.merge = conv_norm(len(inputs) * spec.width, spec.width) if spec.merge == "concat" else None

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the map (N, width, h, w) at the size of the finest one, for maps (N, C_i, H_i, W_i)."""
        pyramid = self.pyramid(maps)
        size = _size(pyramid[0])
        branches = [_upwards(branch, x, size) for branch, x in zip(self.branches, pyramid, strict=True)]
        if self.merge is None:
            return torch.stack(branches).sum(0)
        out: Tensor = self.merge(torch.cat(branches, dim=1))
        return out


def _branch(spec: PanopticFpn, finest: Feature, feature: Feature) -> nn.ModuleList:
    doublings = max((feature.stride // finest.stride).bit_length() - 1, 1)
    widths = [spec.pyramid_width] + [spec.width] * doublings
    steps = []
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        steps.append(nn.Sequential(conv, group_norm(outputs), nn.ReLU(inplace=True)))
    return nn.ModuleList(steps)


def _upwards(branch: nn.Module, x: Tensor, size: tuple[int, int]) -> Tensor:
    assert isinstance(branch, nn.ModuleList)
    for step in branch:
        x = step(x)
        # A map of an odd size was rounded up when it was halved, so its double may be one too large.
        x = resized(x, (min(2 * x.shape[2], size[0]), min(2 * x.shape[3], size[1])))
    return x


class UnetModule(nn.Module):
    """The levels of the way up, the coarsest first."""

    def __init__(self, spec: Unet, inputs: Pyramid) -> None:
        super().__init__()
        levels, below = [], inputs[-1]
        for i in reversed(range(len(inputs) - 1)):
            levels.append(UnetLevel(spec, below.channels, below.stride // inputs[i].stride, inputs[i], 2**i))
            below = type(below)(spec.width * 2**i, inputs[i].stride)
        self.levels = nn.ModuleList(levels)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the map (N, width, h, w) at the size of the finest one, for maps (N, C_i, H_i, W_i)."""
        x = maps[-1]
        for level, skip in zip(self.levels, reversed(maps[:-1]), strict=True):
            x = level(x, skip)
        return x


class UnetLevel(nn.Module):
    """Resizes a map, joins it with the backbone's, and refines both."""

    def __init__(self, spec: Unet, channels: int, ratio: int, skip: Feature, factor: int) -> None:
        super().__init__()
        width = spec.width * factor
        self.up = nn.ConvTranspose2d(channels, width, ratio, ratio) if spec.upsample == "deconv" else None
        risen = width if spec.upsample == "deconv" else channels
        self.project: nn.Module | None = None
        self.align: nn.Module | None = None
        joined = risen + skip.channels
        if spec.skip == "add":
            self.project, joined = conv_norm(skip.channels, width), width
            self.align = None if risen == width else nn.Conv2d(risen, width, 1)
        self.refine = nn.Sequential(conv_norm(joined, width, 3), conv_norm(width, width, 3))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Returns the level's map (N, width, H, W) of the one below and the backbone's map (N, C, H, W)."""
        height, width = _size(skip)
        x = resized(x, (height, width)) if self.up is None else self.up(x)[:, :, :height, :width]
        if self.project is None:
            joined = torch.cat([x, skip], dim=1)
        else:
            joined = (x if self.align is None else self.align(x)) + self.project(skip)
        out: Tensor = self.refine(joined)
        return out
