"""What the cells of NASNet do to a state: convolutions behind a ReLU and before a norm, poolings, reductions."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.architectures.nasnet_cells import IDENTITY, OPERATIONS
from search_spaces.blocks.convolution import ConvPlan
from search_spaces.networks.convolution import BatchNorm, conv, fold, he
from search_spaces.networks.layers import DropPath

if TYPE_CHECKING:
    from search_spaces.architectures.nasnet_cells import Operation


def operation(name: str, inputs: int, filters: int, stride: int, depth: float) -> nn.Module:
    """Returns an operation, whose output drop path may drop unless it is the identity.

    Args:
        name: One of `OPERATIONS`.
        inputs: Channels of the state.
        filters: Channels that come out.
        stride: Step, of the first of several convolutions.
        depth: Share of drop path.

    Paper: Zoph et al., 2018, arXiv 1707.07012, appendices A.4 and A.5. Deviation: padding is that of stride 1 for every
        stride, where TensorFlow's SAME depends on the input size; the output size is the same. Where the paper is
        silent: a row of taps and the column behind it have each a ReLU and a norm, and share a stride of two.
    """
    spec = OPERATIONS[name]
    if name == IDENTITY:
        place = ConvPlan(inputs, filters, (1, 1), (stride, stride))
        return nn.Identity() if stride == 1 and inputs == filters else relu_conv_norm(place)
    layers = _pooling(spec, inputs, filters, stride) if spec.pool else _convolutions(spec, inputs, filters, stride)
    return nn.Sequential(*layers, DropPath(depth))


def relu_conv_norm(plan: ConvPlan, separable: bool = False) -> nn.Sequential:
    """Returns ReLU (`0`), convolution (`1`; with the 1x1 convolution, `2`, if separable), and batch norm, the last.

    Args:
        plan: Place of the convolution.
        separable: Whether it is a filter a channel and a 1x1 convolution, with nothing between them.
    """
    if not separable:
        return nn.Sequential(nn.ReLU(), he(conv(plan)), BatchNorm(plan.outputs))
    depthwise = conv(plan._replace(outputs=plan.inputs), groups=plan.inputs)
    nn.init.kaiming_normal_(depthwise.weight, mode="fan_in", nonlinearity="relu")  # outputs of a filter: one channel
    pointwise = he(conv(ConvPlan(plan.inputs, plan.outputs, (1, 1))))
    return nn.Sequential(nn.ReLU(), depthwise, pointwise, BatchNorm(plan.outputs))


def _convolutions(spec: Operation, inputs: int, filters: int, stride: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for i, (height, width) in enumerate(spec.kernels):
        strides = (stride, stride) if i == 0 else (1, 1)
        if 1 in (height, width) and height != width:  # a row and a column take a step each in their own direction
            strides = (stride if height > 1 else 1, stride if width > 1 else 1)
        place = ConvPlan(filters if i else inputs, filters, (height, width), strides, spec.dilation)
        layers.append(relu_conv_norm(place, spec.separable))
    return layers


def _pooling(spec: Operation, inputs: int, filters: int, stride: int) -> list[nn.Module]:
    ((kernel, _),) = spec.kernels
    pool: nn.Module = nn.MaxPool2d(kernel, stride, kernel // 2)
    if spec.pool == "average":
        pool = nn.AvgPool2d(kernel, stride, kernel // 2, count_include_pad=False)
    if inputs == filters:
        return [pool]
    return [pool, nn.Sequential(he(conv(ConvPlan(inputs, filters, (1, 1)))), BatchNorm(filters))]


class FactorizedReduction(nn.Module):
    """Two 1x1 convolutions of stride 2 side by side, the second of the map moved by one pixel, and one batch norm.

    So every second row and column is not lost altogether.

    Args:
        inputs: Channels that go in.
        outputs: Channels that come out, two or more; half of them, rounded down, are made by the first.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = conv(ConvPlan(inputs, outputs // 2, (1, 1)))
        self.second = conv(ConvPlan(inputs, outputs - outputs // 2, (1, 1)))
        he(self.first)
        he(self.second)
        self.norm: nn.Module = BatchNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Returns (N, outputs, ceil(H / 2), ceil(W / 2)) for a map (N, C, H, W)."""
        moved = F.pad(x, (-1, 1, -1, 1))
        # Not by strides of the convolutions: of less than 8 channels, channels last, torch's go past their memory.
        halves = self.first(x[:, :, ::2, ::2]), self.second(moved[:, :, ::2, ::2])
        out: Tensor = self.norm(torch.cat(halves, dim=1))
        return out

    def collapsed(self) -> nn.Module:
        """Returns the reduction whose convolutions do what its norm did; itself if the norm has no running figures."""
        norm = self.norm
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
            return self
        start = 0
        for part in (self.first, self.second):
            own = copy.deepcopy(norm)
            end = start + part.out_channels
            for name in ("weight", "bias"):
                setattr(own, name, nn.Parameter(getattr(norm, name)[start:end]))
            for name in ("running_mean", "running_var"):
                setattr(own, name, getattr(norm, name)[start:end])
            fold(part, own)
            start = end
        self.norm = nn.Identity()
        return self


def matching(inputs: int, outputs: int, halves: bool) -> nn.Module:
    """Returns what gives a state the shape of others: half the height and width, or other channels, or nothing.

    Args:
        inputs: Channels that go in.
        outputs: Channels that come out.
        halves: Whether height and width are to be halved.
    """
    if halves:
        return FactorizedReduction(inputs, outputs)
    if inputs == outputs:
        return nn.Identity()
    return nn.Sequential(he(conv(ConvPlan(inputs, outputs, (1, 1)))), BatchNorm(outputs))
