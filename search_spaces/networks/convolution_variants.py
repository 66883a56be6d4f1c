"""The modules of `search_spaces.blocks.convolution_variants`."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.convolution import conv, padding, resized
from search_spaces.networks.layers import MatMul

if TYPE_CHECKING:
    from search_spaces.blocks.convolution import ConvPlan
    from search_spaces.blocks.convolution_variants import DynamicFilter, Octave, Ternary

THRESHOLD = 0.7  # of the mean absolute weight: smaller weights become 0


class DynamicFilterModule(nn.Module):
    """What derives the filters, their product with the map, and the 1x1 convolution."""

    def __init__(self, spec: DynamicFilter, plan: ConvPlan) -> None:
        super().__init__()
        self.plan, self.softmax, self.local = plan, spec.softmax, spec.scope == "local"
        taps = math.prod(plan.kernel)
        self.generator: nn.Module
        if self.local:
            steps = (plan.kernel, plan.stride, padding(plan), plan.dilation)
            self.generator = nn.Conv2d(plan.inputs, taps, *steps)
        else:
            self.generator = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(plan.inputs, taps, 1))
        self.product = MatMul()
        self.project = nn.Conv2d(plan.inputs, plan.outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, outputs, h, w) for one (N, inputs, H, W)."""
        filters = self.generator(x)
        out: Tensor = self.project(self.filtered(x, filters.softmax(1) if self.softmax else filters))
        return out

    def filtered(self, x: Tensor, filters: Tensor) -> Tensor:
        """Returns the map (N, C, h, w) that filters make of `x`, the same for all channels.

        Args:
            x: Maps (N, C, H, W).
            filters: Weights of the taps, row by row, (N, K, h, w), or (N, K, 1, 1) if one filter is for all positions.
        """
        height, width = (-(-size // step) for size, step in zip(x.shape[2:], self.plan.stride, strict=True))
        columns = F.unfold(x, self.plan.kernel, self.plan.dilation, padding(self.plan), self.plan.stride)
        columns = columns.view(x.shape[0], x.shape[1], -1, height * width)
        weights = filters.flatten(2)
        if self.local:
            found = self.product(columns.permute(0, 3, 1, 2), weights.transpose(1, 2).unsqueeze(3))
            found = found.squeeze(3).transpose(1, 2)
        else:
            found = self.product(weights.transpose(1, 2).unsqueeze(1), columns).squeeze(2)
        out: Tensor = found.reshape(x.shape[0], -1, height, width)
        return out


class OctaveModule(nn.Module):
    """Four convolutions between the channels of full and those of half resolution; without channels there is none."""

    def __init__(self, spec: Octave, plan: ConvPlan) -> None:
        super().__init__()
        low_in = 0 if spec.place == "first" else int(spec.alpha * plan.inputs)
        low_out = 0 if spec.place == "last" else int(spec.alpha * plan.outputs)
        self.high_in, self.stride = plan.inputs - low_in, plan.stride
        high_out = plan.outputs - low_out

        def between(inputs: int, outputs: int) -> nn.Conv2d | None:
            return conv(plan._replace(inputs=inputs, outputs=outputs)) if inputs and outputs else None

        self.high_high, self.low_high = between(self.high_in, high_out), between(low_in, high_out)
        self.high_low, self.low_low = between(self.high_in, low_out), between(low_in, low_out)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, outputs, h, w) for one (N, inputs, H, W), H and W even."""
        height, width = (-(-size // step) for size, step in zip(x.shape[2:], self.stride, strict=True))
        high = x[:, : self.high_in]
        low = F.avg_pool2d(x[:, self.high_in :], 2) if self.high_in < x.shape[1] else None
        assert self.high_high is not None
        out: Tensor = self.high_high(high)
        if self.low_high is not None:
            out = out + resized(self.low_high(low), (height, width), "nearest")
        if self.high_low is None:
            return out
        coarse: Tensor = self.high_low(F.avg_pool2d(high, 2))
        if self.low_low is not None:
            coarse = coarse + self.low_low(low)
        return torch.cat([out, resized(coarse, (height, width), "nearest")], dim=1)


class TernaryTanh(nn.Module):
    """A function onto -1, 0 and 1: smooth in training, with steps at -0.5 and 0.5 in eval mode."""

    def __init__(self, start: float, end: float) -> None:
        super().__init__()
        self.start, self.end, self.progress = start, end, 1.0

    def set_progress(self, fraction: float) -> None:
        """Sets how far training has come, in [0, 1]."""
        self.progress = fraction

    def forward(self, x: Tensor) -> Tensor:
        """Returns the function of each number of `x`."""
        if not self.training:
            return x.sign() * (x.abs() > 0.5)
        steepness = self.start + (self.end - self.start) * self.progress
        return ((2 * steepness * x - steepness).tanh() + (2 * steepness * x + steepness).tanh()) / 2


class TernaryConv(nn.Conv2d):
    """A convolution that uses its weights as `ternarized` makes them."""

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, outputs, h, w) for one (N, inputs, H, W)."""
        out: Tensor = self._conv_forward(x, ternarized(self.weight), self.bias)
        return out


def ternarized(weight: Tensor) -> Tensor:
    """Returns filters with the values -a, 0 and a alone; the gradient passes as if nothing had been done.

    Args:
        weight: Filters (O, I, rows, columns); a is the mean of a filter's greater absolute weights.
    """
    size = weight.abs()
    kept = size > THRESHOLD * size.mean((1, 2, 3), keepdim=True)
    level = (size * kept).sum((1, 2, 3), keepdim=True) / kept.sum((1, 2, 3), keepdim=True).clamp(min=1)
    # The bracket is 0 to the bit, and carries the gradient.
    return (level * weight.sign() * kept).detach() + (weight - weight.detach())


def ternary(spec: Ternary, plan: ConvPlan) -> nn.Sequential:
    """Returns what rounds the inputs, where asked for, and the convolution."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if spec.inputs:
        layers["round"] = TernaryTanh(spec.start, spec.end)
    kind = TernaryConv if spec.weights else nn.Conv2d
    steps = (plan.kernel, plan.stride, padding(plan), plan.dilation)
    layers["conv"] = kind(plan.inputs, plan.outputs, *steps, bias=False)
    return nn.Sequential(layers)
