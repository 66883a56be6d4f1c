"""The modules of `search_spaces.blocks.convolution_sampled`."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.convolution import BatchNorm, conv, padding
from search_spaces.networks.layers import set_lr_factor
from search_spaces.operators.deform_conv import deform_conv2d, sample

if TYPE_CHECKING:
    from search_spaces.blocks.convolution import ConvPlan
    from search_spaces.blocks.convolution_sampled import Active, Deformable, Shift, SparseShift


class SampledConv(nn.Conv2d):
    """A convolution that reads where offsets say; of its products, those of interpolating are not counted."""

    def __init__(self, plan: ConvPlan) -> None:
        steps = (plan.kernel, plan.stride, padding(plan), plan.dilation)
        super().__init__(plan.inputs, plan.outputs, *steps, bias=False)

    def forward(  # type: ignore[override]
        self, x: Tensor, offset: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Returns the map (N, O, h, w) of `x` (N, C, H, W).

        Args:
            x: The map.
            offset: As in `deform_conv2d`, or (2 * K,) for all positions alike.
            mask: As in `deform_conv2d`.
        """
        if offset.dim() == 1:
            height, width = (-(-size // step) for size, step in zip(x.shape[2:], self.stride, strict=True))
            offset = offset.view(1, -1, 1, 1).expand(x.shape[0], -1, height, width)
        return deform_conv2d(x, offset, self.weight, self.stride, self.padding, self.dilation, mask)  # type: ignore[arg-type]


class DeformableModule(nn.Module):
    """The convolution that says where, and the one that reads there."""

    def __init__(self, spec: Deformable, plan: ConvPlan) -> None:
        super().__init__()
        self.taps = spec.groups * math.prod(plan.kernel)
        found = conv(plan._replace(outputs=(3 if spec.modulated else 2) * self.taps))
        found.bias = nn.Parameter(torch.zeros(found.out_channels))
        nn.init.zeros_(found.weight)
        set_lr_factor(found.parameters(), spec.offset_rate)
        self.offset = found
        self.conv = SampledConv(plan)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, outputs, h, w) for one (N, inputs, H, W)."""
        found = self.offset(x)
        offset, mask = found[:, : 2 * self.taps], found[:, 2 * self.taps :]
        out: Tensor = self.conv(x, offset, mask.sigmoid() if mask.shape[1] else None)
        return out


class _MeanLength(torch.autograd.Function):
    """The identity; its gradient, of pairs, is scaled to a mean length of `length`."""

    @staticmethod
    def forward(ctx: Any, pairs: Tensor, length: float) -> Tensor:
        ctx.length = length
        return pairs.view_as(pairs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        mean = grads[0].view(-1, 2).norm(dim=1).mean()
        # A gradient of 0 stays 0.
        return grads[0] * (ctx.length / mean.clamp(min=torch.finfo(mean.dtype).tiny)), None


class ActiveModule(nn.Module):
    """A convolution and how far its taps have moved from their grid.

    Attributes:
        displacement: Down and right in turn for each tap, in pixels; one dimension, so that it does not decay.
    """

    def __init__(self, spec: Active, plan: ConvPlan) -> None:
        super().__init__()
        self.conv = SampledConv(plan)
        self.displacement = nn.Parameter(torch.zeros(2 * math.prod(plan.kernel)))
        set_lr_factor([self.displacement], spec.rate)
        self.frozen, self.progress = spec.frozen, 1.0

    def set_progress(self, fraction: float) -> None:
        """Sets how far training has come, in [0, 1]."""
        self.progress = fraction

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, outputs, h, w) for one (N, inputs, H, W)."""
        moved: Tensor = self.displacement
        if self.training:
            moved = _MeanLength.apply(moved, float(self.progress >= self.frozen))  # type: ignore[no-untyped-call]
        out: Tensor = self.conv(x, moved)
        return out


class Displace(nn.Module):
    """Parts of the channels, each moved to one place of a kernel; what comes in from outside of the map is zero.

    Args:
        plan: `inputs` channels; its kernel, stride and dilation are meant.
    """

    def __init__(self, plan: ConvPlan) -> None:
        super().__init__()
        (rows, columns), channels = plan.kernel, plan.inputs
        self.stride, self.reach = plan.stride, padding(plan)
        places = [int((c + 0.5) * rows * columns / channels) for c in range(channels)]
        self.groups: list[tuple[int, int, int, int]] = []
        for place in sorted(set(places)):
            start = places.index(place)
            down, right = (plan.dilation * step for step in divmod(place, columns))
            self.groups.append((start, start + places.count(place), down, right))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, C, h, w) of `x` (N, C, H, W)."""
        (height, width), (down, right) = x.shape[2:], self.reach
        padded = F.pad(x, (right, right, down, down))
        rows, columns = self.stride
        return torch.cat(
            [padded[:, a:b, i : i + height : rows, j : j + width : columns] for a, b, i, j in self.groups], dim=1
        )


def shift(spec: Shift, plan: ConvPlan) -> nn.Sequential:
    """Returns where asked for the 1x1 convolution that widens, the displacement and the 1x1 convolution."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if spec.expansion > 1:
        width = spec.expansion * plan.inputs
        layers["expand"] = nn.Conv2d(plan.inputs, width, 1, bias=False)
        layers |= {"norm": BatchNorm(width), "relu": nn.ReLU(inplace=True)}
        plan = plan._replace(inputs=width)
    layers["shift"] = Displace(plan)
    layers["project"] = nn.Conv2d(plan.inputs, plan.outputs, 1, bias=False)
    return nn.Sequential(layers)


class LearnedShift(nn.Module):
    """Channels that are moved by so many pixels each.

    Attributes:
        vertical: What of a channel lies so far below is read, in pixels.
        horizontal: What of it lies so far to the right.
    """

    def __init__(self, spec: SparseShift, plan: ConvPlan) -> None:
        super().__init__()
        self.stride, self.weight, self.quantized = plan.stride, spec.penalty, spec.quantized
        down, right = padding(plan)
        self.vertical = nn.Parameter(torch.empty(plan.inputs).uniform_(-down, down))
        self.horizontal = nn.Parameter(torch.empty(plan.inputs).uniform_(-right, right))
        set_lr_factor(self.parameters(), spec.rate)

    def penalty(self) -> Tensor:
        """Returns what the loss takes for the displacements."""
        return self.weight * (self.vertical.abs().sum() + self.horizontal.abs().sum())

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, C, h, w) of `x` (N, C, H, W); what comes in from outside is zero."""
        if not self.quantized:
            return self._interpolated(x)
        out = self._rounded(x)
        if not self.training:
            return out
        soft = self._interpolated(x.detach())
        # Exactly the rounded map, with the gradient of the interpolated one for the displacements.
        return out + (soft - soft.detach())

    def _positions(self, x: Tensor, down: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """The rows (C, h) and the columns (C, w) that are read."""
        height, width = x.shape[2:]
        rows = torch.arange(0, height, self.stride[0], device=x.device)
        columns = torch.arange(0, width, self.stride[1], device=x.device)
        return rows + down[:, None], columns + right[:, None]

    def _interpolated(self, x: Tensor) -> Tensor:
        rows, columns = self._positions(x, self.vertical, self.horizontal)
        shape = (1, x.shape[1], 1, rows.shape[1], columns.shape[1])
        down, right = rows[None, :, None, :, None].expand(shape), columns[None, :, None, None, :].expand(shape)
        return sample(x, down, right).squeeze(2).to(x.dtype)

    def _rounded(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        whole = self.vertical.round().long(), self.horizontal.round().long()
        rows, columns = self._positions(x, *whole)
        rows, columns = rows[:, :, None], columns[:, None, :]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        index = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
        found = x.flatten(2).gather(2, index.flatten(1).expand(x.shape[0], -1, -1))
        return found.view(x.shape[0], *inside.shape) * inside


def sparse_shift(spec: SparseShift, plan: ConvPlan) -> nn.Sequential:
    """Returns the learned displacement and the 1x1 convolution."""
    project = nn.Conv2d(plan.inputs, plan.outputs, 1, bias=False)
    return nn.Sequential(OrderedDict(shift=LearnedShift(spec, plan), project=project))
