"""Convolution with normalisation and activation, as networks of images share it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from search_spaces.blocks.convolution import ConvPlan


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that can also train on one value a channel, which has no variance: it then uses the running figures.

    This happens after global pooling with a batch of one image, where `nn.BatchNorm2d` raises.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Returns `x` (N, C, H, W) normalised."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


class GroupNorm(nn.GroupNorm):
    """Group norm that also takes one value a group, which has no variance: what comes out is the bias.

    This happens on maps of one position with a channel a group, where `nn.GroupNorm` raises for a single image.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Returns `x` (N, C, H, W) normalised."""
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def padding(plan: ConvPlan) -> tuple[int, int]:
    """Returns the zeros on each side, vertical and horizontal, with which a map keeps ceil(size / stride)."""
    return plan.dilation * ((plan.kernel[0] - 1) // 2), plan.dilation * ((plan.kernel[1] - 1) // 2)


def conv(plan: ConvPlan, groups: int = 1) -> nn.Conv2d:
    """Returns the plain convolution of a place, without bias, its weights as torch draws them.

    Args:
        plan: The place.
        groups: Groups of channels that do not meet.
    """
    return nn.Conv2d(
        plan.inputs, plan.outputs, plan.kernel, plan.stride, padding(plan), plan.dilation, groups, bias=False
    )


def he(module: nn.Module) -> nn.Module:
    """Draws the weights of a plain convolution for ReLUs that follow; any other module is returned as it is.

    Paper: He et al., 2015, arXiv 1502.01852, section 2.2, over the outputs of a filter.
    """
    if type(module) is nn.Conv2d:  # others may have begun with weights of their own, such as offsets of zero
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return module


@torch.no_grad()
def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """Makes a convolution do, with its bias, what it and the batch norm behind it do in eval mode.

    Args:
        conv: Is changed and returned.
        norm: Has running figures.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    if conv.weight.is_meta:  # shapes alone: on the meta device each operation below would be slow
        conv.bias = nn.Parameter(torch.empty_like(norm.running_mean))
        return conv
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight
    start = -norm.running_mean if conv.bias is None else conv.bias - norm.running_mean
    bias = start * scale + norm.bias if norm.affine else start * scale
    conv.weight = nn.Parameter(conv.weight * scale.view(-1, 1, 1, 1))
    conv.bias = nn.Parameter(bias)
    return conv


def conv_norm(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    """Returns convolution (`0`), batch norm (`1`) and ReLU (`2`) that keep height and width.

    Args:
        inputs: Channels that go in.
        outputs: Channels that come out.
        kernel: Height and width of the filters, odd.
        dilation: Distance of their taps.
    """
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2 * dilation, dilation=dilation, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return nn.Sequential(conv, BatchNorm(outputs), nn.ReLU(inplace=True))


def group_norm(channels: int, groups: int = 32) -> nn.GroupNorm:
    """Returns a group norm of at most `groups` groups that divide the channels.

    Paper: Wu & He, 2018, arXiv 1803.08494, section 4 (32 groups).
    """
    return GroupNorm(math.gcd(groups, channels), channels)


def resized(x: Tensor, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """Returns maps (N, C, h, w) resized to `size`; corners are not aligned.

    Args:
        x: The maps.
        size: Height and width that come out.
        mode: `bilinear` or `nearest`.
    """
    if tuple(x.shape[2:]) == tuple(size):
        return x
    if x.is_meta:  # there, interpolation is a hundred operations in Python
        return x.new_empty(*x.shape[:2], *size)
    if mode == "nearest":
        return F.interpolate(x, size=size, mode="nearest")
    return F.interpolate(x, size=size, mode=mode, align_corners=False)
