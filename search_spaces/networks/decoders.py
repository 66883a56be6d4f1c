"""The modules of `search_spaces.blocks.decoders`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from search_spaces.networks.convolution import conv_norm, group_norm, resized

if TYPE_CHECKING:
    from search_spaces.blocks.base import Feature, Pyramid
    from search_spaces.blocks.decoders import DeepLabV3Plus, PanopticFpn, TopDown, Unet, UnetPlan

Decoded = Tensor | dict[str, Any]


def size_of(x: Tensor) -> tuple[int, int]:
    """Returns height and width of maps (N, C, H, W)."""
    return x.shape[2], x.shape[3]


def parts_of(found: Decoded) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Returns the map that a decoder gave, and those for auxiliary heads."""
    return (found["out"], found["aux"]) if isinstance(found, dict) else (found, ())


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
        out: Tensor = self.refine(torch.cat([resized(maps[-1], size_of(low)), low], dim=1))
        return out


class PanopticFpnModule(nn.Module):
    """A feature pyramid, a branch a level, and their merger."""

    def __init__(self, spec: PanopticFpn, inputs: Pyramid) -> None:
        super().__init__()
        self.pyramid = spec.neck().build(inputs)
        self.branches = nn.ModuleList([_branch(spec, inputs[0], feature) for feature in inputs])
        maps, channels = spec.merged(inputs)
        self.merge = None if channels == spec.width else conv_norm(channels, spec.width)
        self.fuse = spec.merge.build(maps)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the map (N, width, h, w) at the size of the finest one, for maps (N, C_i, H_i, W_i)."""
        pyramid = self.pyramid(maps)
        size = size_of(pyramid[0])
        out: Tensor = self.fuse([_upwards(branch, x, size) for branch, x in zip(self.branches, pyramid, strict=True)])
        return out if self.merge is None else self.merge(out)


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
        self.levels = nn.ModuleList([UnetLevel(spec, plan) for plan in spec.levels(inputs)])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the map (N, width, h, w) at the size of the finest one, for maps (N, C_i, H_i, W_i)."""
        x = maps[-1]
        for level, skip in zip(self.levels, reversed(maps[:-1]), strict=True):
            x = level(x, skip)
        return x


class UnetLevel(nn.Module):
    """Resizes a map, joins it with the backbone's, and refines both."""

    def __init__(self, spec: Unet, plan: UnetPlan) -> None:
        super().__init__()
        below, skip, pair, joined, width = plan
        ratio, deconv = below.stride // skip.stride, spec.upsample == "deconv"
        self.up = nn.ConvTranspose2d(below.channels, width, ratio, ratio) if deconv else None
        risen = width if deconv else below.channels
        self.project = None if spec.skip.aligns else conv_norm(skip.channels, width)
        self.align = None if risen == pair[1].channels else nn.Conv2d(risen, width, 1)
        self.fuse = spec.skip.build(pair)
        self.gate = None if spec.gate is None else spec.gate.build(skip.channels, below.channels)
        self.refine = nn.Sequential(conv_norm(joined.channels, width, 3), conv_norm(width, width, 3))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Returns the level's map (N, width, H, W) of the one below and the backbone's map (N, C, H, W)."""
        height, width = size_of(skip)
        skip = skip if self.gate is None else self.gate(skip, x)
        x = resized(x, (height, width)) if self.up is None else self.up(x)[:, :, :height, :width]
        skip = skip if self.project is None else self.project(skip)
        out: Tensor = self.refine(self.fuse([skip, x if self.align is None else self.align(x)]))
        return out


class TopDownModule(nn.Module):
    """Reduced maps, fused from the coarsest to the finest."""

    def __init__(self, spec: TopDown, inputs: Pyramid) -> None:
        super().__init__()
        self.supervision = spec.supervision
        joints, width = spec.joints(inputs), spec.width
        self.laterals = nn.ModuleList([conv_norm(feature.channels, width) for feature in inputs])
        self.fusions = nn.ModuleList([spec.fusion.build(pair) for pair, _ in joints])
        self.reduce = nn.ModuleList([nn.Identity() if c == width else conv_norm(c, width, 3) for _, c in joints])
        gate = spec.gate
        self.gates = None if gate is None else nn.ModuleList([gate.build(width, width) for _ in joints])

    def forward(self, maps: Sequence[Tensor]) -> Decoded:
        """Returns the map (N, width, h, w) at the size of the finest one, for maps (N, C_i, H_i, W_i)."""
        *finer, x = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        coarser: list[Tensor] = []
        for i in reversed(range(len(finer))):
            coarser.insert(0, x)
            fine = finer[i] if self.gates is None else self.gates[i](finer[i], x)
            x = self.reduce[i](self.fusions[i]([fine, x]))
        return {"out": x, "aux": tuple(coarser)} if self.training and self.supervision else x
