"""The modules of `search_spaces.blocks.convolution_factored`."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.convolution import BatchNorm, conv, fold

if TYPE_CHECKING:
    from search_spaces.blocks.convolution import ConvPlan
    from search_spaces.blocks.convolution_factored import Asymmetric, Blaze, Factorized, Heterogeneous, Separable


class AsymmetricModule(nn.Module):
    """Three convolutions with batch norm, added up."""

    def __init__(self, spec: Asymmetric, plan: ConvPlan) -> None:
        super().__init__()
        height, width = plan.kernel
        self.square = self._branch(spec, plan)
        self.horizontal = self._branch(spec, plan._replace(kernel=(1, width)))
        self.vertical = self._branch(spec, plan._replace(kernel=(height, 1)))

    @staticmethod
    def _branch(spec: Asymmetric, plan: ConvPlan) -> nn.Sequential:
        norm = BatchNorm(plan.outputs)
        nn.init.constant_(norm.weight, spec.gamma)
        return nn.Sequential(OrderedDict(conv=conv(plan, spec.groups), norm=norm))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the sum (N, outputs, h, w) of the branches for a map (N, inputs, H, W)."""
        out: Tensor = self.square(x) + self.horizontal(x) + self.vertical(x)
        return out

    def collapsed(self) -> nn.Conv2d:
        """Returns the one convolution with bias that this is in eval mode; it takes over the module's own weights."""
        branches = (self.square, self.horizontal, self.vertical)
        square, horizontal, vertical = (fold(branch.conv, branch.norm) for branch in branches)  # type: ignore[arg-type]
        rows, columns = square.kernel_size[0] // 2, square.kernel_size[1] // 2
        lines = F.pad(horizontal.weight, (0, 0, rows, rows)) + F.pad(vertical.weight, (columns, columns))
        assert square.bias is not None and horizontal.bias is not None and vertical.bias is not None
        square.weight = nn.Parameter((square.weight + lines).detach())
        square.bias = nn.Parameter((square.bias + horizontal.bias + vertical.bias).detach())
        return square


def separable(spec: Separable, plan: ConvPlan) -> nn.Sequential:
    """Returns a filter a channel, where asked for batch norm and ReLU, and a 1x1 convolution."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(depthwise=_depthwise(plan))
    if spec.activation:
        layers |= {"norm": BatchNorm(plan.inputs), "relu": nn.ReLU(inplace=True)}
    layers["pointwise"] = nn.Conv2d(plan.inputs, plan.outputs, 1, bias=False)
    return nn.Sequential(layers)


def _depthwise(plan: ConvPlan) -> nn.Conv2d:
    return conv(plan._replace(outputs=plan.inputs), groups=plan.inputs)


class BlazeModule(nn.Module):
    """One or two separable convolutions, and the shortcut."""

    def __init__(self, spec: Blaze, plan: ConvPlan) -> None:
        super().__init__()
        first = plan if spec.inner is None else plan._replace(outputs=spec.inner)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            depthwise=_depthwise(first), pointwise=nn.Conv2d(first.inputs, first.outputs, 1, bias=False)
        )
        if spec.inner is not None:
            second = plan._replace(inputs=spec.inner, stride=(1, 1))
            layers["relu"] = nn.ReLU(inplace=True)
            layers["depthwise2"] = _depthwise(second)
            layers["pointwise2"] = nn.Conv2d(second.inputs, second.outputs, 1, bias=False)
        self.body = nn.Sequential(layers)
        self.stride, self.more = plan.stride, plan.outputs - plan.inputs

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, outputs, h, w) for one (N, inputs, H, W)."""
        out: Tensor = self.body(x)
        if self.more < 0:
            return out
        if self.stride != (1, 1):
            x = F.max_pool2d(x, self.stride, self.stride, ceil_mode=True)
        return out + F.pad(x, (0, 0, 0, 0, 0, self.more))


def factorized(spec: Factorized, plan: ConvPlan) -> nn.Sequential:
    """Returns the stages, `0`, `1`, ..., where asked for with batch norm and ReLU between them."""
    layers: list[nn.Module] = []
    for stage in _lines(plan) if spec.form == "lines" else _stack(plan):
        if layers and spec.activation:
            layers += [BatchNorm(stage.inputs), nn.ReLU(inplace=True)]
        layers.append(conv(stage))
    return nn.Sequential(*layers)


def _lines(plan: ConvPlan) -> list[ConvPlan]:
    if 1 in plan.kernel:
        return [plan]
    (height, width), (down, right) = plan.kernel, plan.stride
    row = plan._replace(kernel=(1, width), stride=(1, right))
    return [row, plan._replace(inputs=plan.outputs, kernel=(height, 1), stride=(down, 1))]


def _stack(plan: ConvPlan) -> list[ConvPlan]:
    # Strides stand in the last stage: so the stack sees exactly what one filter would.
    rows, columns = plan.kernel[0] // 2, plan.kernel[1] // 2
    count = max(rows, columns, 1)
    stages = []
    for i in range(count):
        kernel = (3 if i < rows else 1, 3 if i < columns else 1)
        stride = plan.stride if i == count - 1 else (1, 1)
        stages.append(plan._replace(inputs=plan.inputs if i == 0 else plan.outputs, kernel=kernel, stride=stride))
    return stages


class LargeKernelModule(nn.Module):
    """Both orders of a column and a row."""

    def __init__(self, plan: ConvPlan) -> None:
        super().__init__()
        (height, width), (down, right) = plan.kernel, plan.stride
        column = plan._replace(kernel=(height, 1), stride=(down, 1))
        row = plan._replace(kernel=(1, width), stride=(1, right))
        self.left = nn.Sequential(conv(column), conv(row._replace(inputs=plan.outputs)))
        self.right = nn.Sequential(conv(row), conv(column._replace(inputs=plan.outputs)))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the sum (N, outputs, h, w) of both for a map (N, inputs, H, W)."""
        out: Tensor = self.left(x) + self.right(x)
        return out


class HeterogeneousModule(nn.Module):
    """Large filters within each part of the channels, and 1x1 filters on all other parts."""

    others: Tensor

    def __init__(self, spec: Heterogeneous, plan: ConvPlan) -> None:
        super().__init__()
        self.stride = plan.stride
        self.spatial = conv(plan, groups=spec.parts)
        self.pointwise: nn.Conv2d | None = None
        if spec.parts > 1:
            channels, size = torch.arange(plan.inputs), plan.inputs // spec.parts
            seen = [torch.cat([channels[: i * size], channels[(i + 1) * size :]]) for i in range(spec.parts)]
            # For each part of the filters, the channels of all other parts.
            self.register_buffer("others", torch.cat(seen), persistent=False)
            inputs = plan.inputs * (spec.parts - 1)
            self.pointwise = nn.Conv2d(inputs, plan.outputs, 1, groups=spec.parts, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, outputs, h, w) for one (N, inputs, H, W)."""
        out: Tensor = self.spatial(x)
        if self.pointwise is None:
            return out
        middle = x[:, :, :: self.stride[0], :: self.stride[1]]
        out = out + self.pointwise(middle[:, self.others])
        return out
