"""The modules of `search_spaces.blocks.units`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_spaces.blocks.base import Feature
from search_spaces.blocks.convolution import ConvPlan
from search_spaces.networks.convolution import conv, he
from search_spaces.networks.layers import DropPath

if TYPE_CHECKING:
    from search_spaces.blocks.units import (
        AggregationTree,
        Basic,
        Bottleneck,
        DenseUnit,
        FullyExploited,
        InceptionResidual,
        LightPose,
        UnitPlan,
    )


def pointwise(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """Returns a 1x1 convolution without bias."""
    return he(conv(ConvPlan(inputs, outputs, (1, 1), (stride, stride))))


def _spatial(plan: UnitPlan, place: ConvPlan) -> nn.Module:
    """Returns what stands in the place of a 3x3 convolution."""
    return he(plan.conv.build(place))


def shortcut(plan: UnitPlan) -> nn.Module | None:
    """Returns what brings a unit's input to the shape of its output; None where it has it.

    Paper: He et al., 2016, arXiv 1512.03385, section 3.3, option B. Average: He et al., 2018, arXiv 1812.01187,
        section 4.2, ResNet-D.
    """
    if plan.keeps:
        return None
    norm = plan.norm.build(plan.out_channels)
    if plan.average and plan.stride > 1:
        pool = nn.AvgPool2d(plan.stride, plan.stride, ceil_mode=True, count_include_pad=False)
        return nn.Sequential(pool, pointwise(plan.in_channels, plan.out_channels), norm)
    return nn.Sequential(pointwise(plan.in_channels, plan.out_channels, plan.stride), norm)


class Residual(nn.Module):
    """What units with a shortcut share: the sum with the residual, which drop path may drop and a gate weigh."""

    def __init__(self, plan: UnitPlan) -> None:
        super().__init__()
        self.downsample = shortcut(plan)
        self.relu = nn.ReLU(inplace=True)
        self.drop_path = DropPath(plan.depth)
        kept = (Feature(plan.out_channels, 1),)
        self.attention = None if plan.attention is None else plan.attention.build(kept)

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Returns the unit's map for its input.

        Args:
            x: (N, C, H, W).
            keep: What each example's residual is multiplied by, (N,); None: 1.
        """
        short = x if self.downsample is None else self.downsample(x)
        residual = self.residual(x)
        if self.attention is not None:
            residual = self.attention(residual)
        residual = self.drop_path(residual)
        if keep is not None:
            residual = residual * keep.to(residual.dtype)[:, None, None, None]
        out: Tensor = self.relu(residual + short)
        return out

    def residual(self, x: Tensor) -> Tensor:
        """Returns what the unit adds to its shortcut."""
        raise NotImplementedError


class BasicModule(Residual):
    """Two 3x3 convolutions."""

    folds = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(self, spec: Basic, plan: UnitPlan) -> None:
        super().__init__(plan)
        self.conv1 = _spatial(plan, plan.first(plan.in_channels, plan.width))
        self.bn1 = plan.norm.build(plan.width)
        self.conv2 = _spatial(plan, plan.last(plan.width, plan.out_channels))
        self.bn2 = plan.norm.build(plan.out_channels)
        if spec.zero:
            nn.init.zeros_(self.bn2.weight)  # type: ignore[arg-type]

    def residual(self, x: Tensor) -> Tensor:
        """Returns what the unit adds to its shortcut."""
        out: Tensor = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return out


class BottleneckModule(Residual):
    """A 3x3 convolution between two 1x1 ones."""

    folds = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))

    def __init__(self, spec: Bottleneck, plan: UnitPlan) -> None:
        super().__init__(plan)
        self.conv1 = pointwise(plan.in_channels, plan.width)
        self.bn1 = plan.norm.build(plan.width)
        place = plan.first(plan.width, plan.width)
        self.conv2 = _spatial(plan, place._replace(dilation=plan.before * plan.dilation))
        self.bn2 = plan.norm.build(plan.width)
        self.conv3 = pointwise(plan.width, plan.out_channels)
        self.bn3 = plan.norm.build(plan.out_channels)
        if spec.zero:
            nn.init.zeros_(self.bn3.weight)  # type: ignore[arg-type]

    def residual(self, x: Tensor) -> Tensor:
        """Returns what the unit adds to its shortcut."""
        inner = self.relu(self.bn1(self.conv1(x)))
        inner = self.relu(self.bn2(self.conv2(inner)))
        out: Tensor = self.bn3(self.conv3(inner))
        return out


class DenseModule(nn.Module):
    """New maps beside the old ones."""

    def __init__(self, spec: DenseUnit, plan: UnitPlan) -> None:
        super().__init__()
        kept = plan.out_channels - plan.width
        inner = spec.bottleneck * plan.width
        self.transition: nn.Module | None = None
        if plan.stride > 1:
            pool = nn.AvgPool2d(plan.stride, plan.stride, ceil_mode=True, count_include_pad=False)
            before = plan.norm.build(plan.in_channels)
            self.transition = nn.Sequential(before, nn.ReLU(), pointwise(plan.in_channels, kept), pool)
        self.new = nn.Sequential(
            plan.norm.build(kept),
            nn.ReLU(),
            pointwise(kept, inner),
            plan.norm.build(inner),
            nn.ReLU(inplace=True),
            _spatial(plan, plan.last(inner, plan.width)),
        )
        given = (Feature(plan.width, 1),)
        self.attention = None if plan.attention is None else plan.attention.build(given)
        self.drop_path = DropPath(plan.depth)

    def forward(self, x: Tensor) -> Tensor:
        """Returns (N, C + width, H, W) for (N, C, H, W)."""
        if self.transition is not None:
            x = self.transition(x)
        new = self.new(x)
        if self.attention is not None:
            new = self.attention(new)
        return torch.cat([x, self.drop_path(new)], dim=1)


def _normed(plan: UnitPlan, layer: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(layer, plan.norm.build(channels), nn.ReLU(inplace=True))


class InceptionModule(nn.Module):
    """Four branches side by side."""

    def __init__(self, plan: UnitPlan) -> None:
        super().__init__()
        c, w, s = plan.in_channels, plan.width, plan.stride
        wide = ConvPlan(w // 4, w // 2, (5, 5), (s, s), plan.before)
        self.one = _normed(plan, pointwise(c, w, s), w)
        self.three = nn.Sequential(
            _normed(plan, pointwise(c, 3 * w // 2), 3 * w // 2),
            _normed(plan, _spatial(plan, plan.first(3 * w // 2, 2 * w)), 2 * w),
        )
        self.five = nn.Sequential(_normed(plan, pointwise(c, w // 4), w // 4), _normed(plan, he(conv(wide)), w // 2))
        self.pool = nn.Sequential(nn.MaxPool2d(3, s, padding=1), _normed(plan, pointwise(c, w // 2), w // 2))
        given = (Feature(plan.out_channels, 1),)
        self.attention = None if plan.attention is None else plan.attention.build(given)

    def forward(self, x: Tensor) -> Tensor:
        """Returns (N, 4 width, h, w) for (N, C, H, W)."""
        out = torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)
        return out if self.attention is None else self.attention(out)


class InceptionResidualModule(Residual):
    """Three branches, joined by a linear 1x1 convolution and scaled down."""

    def __init__(self, spec: InceptionResidual, plan: UnitPlan) -> None:
        super().__init__(plan)
        c, w, s = plan.in_channels, plan.width, plan.stride
        self.scale = spec.scale
        self.one = _normed(plan, pointwise(c, w, s), w)
        self.two = nn.Sequential(_normed(plan, pointwise(c, w), w), _normed(plan, _spatial(plan, plan.first(w, w)), w))
        self.three = nn.Sequential(
            _normed(plan, pointwise(c, w), w),
            _normed(plan, _spatial(plan, plan.first(w, w)), w),
            _normed(plan, _spatial(plan, plan.last(w, w)), w),
        )
        self.join = nn.Conv2d(3 * w, plan.out_channels, 1)

    def residual(self, x: Tensor) -> Tensor:
        """Returns what the unit adds to its shortcut."""
        joined = self.join(torch.cat([self.one(x), self.two(x), self.three(x)], dim=1))
        out: Tensor = joined * self.scale
        return out


class FullyExploitedModule(nn.Module):
    """1x1, 3x3 and 1x1 convolutions of a part of the channels; the others are handed on."""

    def __init__(self, spec: FullyExploited, plan: UnitPlan) -> None:
        super().__init__()
        self.kept = spec.handed_on(plan.in_channels) if plan.keeps else 0
        outputs = plan.out_channels - self.kept
        self.work = nn.Sequential(
            _normed(plan, pointwise(plan.in_channels - self.kept, plan.width), plan.width),
            _normed(plan, _spatial(plan, plan.first(plan.width, plan.width)), plan.width),
            _normed(plan, pointwise(plan.width, outputs), outputs),
        )
        self.attention = None if plan.attention is None else plan.attention.build((Feature(outputs, 1),))

    def forward(self, x: Tensor) -> Tensor:
        """Returns (N, C', h, w) for (N, C, H, W); the last channels of `x` are the first of the output."""
        cut = x.shape[1] - self.kept
        out = self.work(x[:, :cut])
        if self.attention is not None:
            out = self.attention(out)
        return torch.cat([x[:, cut:], out], dim=1) if self.kept else out


class AggregationNode(nn.Module):
    """A 1x1 convolution of maps side by side, norm, and ReLU.

    Paper: Yu et al., 2017, arXiv 1707.06484, section 3.2, equation 3.
    """

    folds = (("conv", "norm"),)

    def __init__(self, plan: UnitPlan, inputs: int, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.conv = pointwise(inputs, plan.out_channels)
        self.norm = plan.norm.build(plan.out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, *maps: Tensor) -> Tensor:
        """Returns the aggregation (N, C, H, W) of maps (N, C_i, H, W)."""
        out = self.norm(self.conv(torch.cat(maps, dim=1)))
        return self.relu(out + maps[-1] if self.residual else out)  # type: ignore[no-any-return]


class TreeModule(nn.Module):
    """Two subtrees one behind the other, of single units on the last level, and the node where all meet.

    Args:
        spec: The tree.
        plan: Its place.
        levels: Levels of this subtree.
        passed: Channels of maps that it is given besides and passes to its node.
    """

    def __init__(self, spec: AggregationTree, plan: UnitPlan, levels: int, passed: int) -> None:
        super().__init__()
        from dataclasses import replace

        from search_spaces.blocks.units import Basic

        self.leaf = levels == 1
        out = plan.out_channels
        then = replace(plan, in_channels=out, stride=1, before=plan.after)
        if self.leaf:
            self.first, self.second = Basic().build(plan), Basic().build(then)
            self.node = AggregationNode(plan, 2 * out + passed, spec.residual)
        else:
            self.first = TreeModule(spec, plan, levels - 1, 0)
            self.second = TreeModule(spec, then, levels - 1, passed + out)

    def forward(self, x: Tensor, passed: tuple[Tensor, ...] = ()) -> Tensor:
        """Returns (N, C', h, w) for (N, C, H, W) and maps (N, C_i, h, w) that the last node reads as well."""
        first = self.first(x)
        if self.leaf:
            out: Tensor = self.node(*passed, first, self.second(first))
            return out
        return self.second(first, (*passed, first))  # type: ignore[no-any-return]


class LightPoseModule(Residual):
    """1x1, depthwise 3x3, attention, 1x1."""

    folds = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))

    def __init__(self, spec: LightPose, plan: UnitPlan) -> None:
        super().__init__(plan)
        place = plan.first(plan.width, plan.width)._replace(dilation=plan.before * plan.dilation)
        self.conv1 = pointwise(plan.in_channels, plan.width)
        self.bn1 = plan.norm.build(plan.width)
        self.conv2 = he(conv(place, groups=plan.width))
        self.bn2 = plan.norm.build(plan.width)
        inner = (Feature(plan.width, 1),)
        self.middle = None if spec.attention is None else spec.attention.build(inner)
        self.conv3 = pointwise(plan.width, plan.out_channels)
        self.bn3 = plan.norm.build(plan.out_channels)

    def residual(self, x: Tensor) -> Tensor:
        """Returns what the unit adds to its shortcut."""
        inner = self.relu(self.bn1(self.conv1(x)))
        inner = self.relu(self.bn2(self.conv2(inner)))
        if self.middle is not None:
            inner = self.middle(inner)
        out: Tensor = self.bn3(self.conv3(inner))
        return out
