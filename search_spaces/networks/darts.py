"""The network of a `Darts`: the operations of its cells, the cells, stems and heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from search_spaces.networks.convolution import BatchNorm
from search_spaces.networks.layers import DropPath

if TYPE_CHECKING:
    from search_spaces.architectures.darts import CellPlan, Darts, DartsCell


def relu_conv_norm(inputs: int, outputs: int, affine: bool = True) -> nn.Sequential:
    """Returns ReLU, 1x1 convolution and batch norm."""
    conv = nn.Conv2d(inputs, outputs, 1, bias=False)
    return nn.Sequential(nn.ReLU(), conv, BatchNorm(outputs, affine=affine))


def depthwise_norm(channels: int, kernel: int, stride: int, dilation: int = 1, affine: bool = True) -> list[nn.Module]:
    """Returns ReLU, depthwise convolution, 1x1 convolution and batch norm; nothing stands between the convolutions."""
    padding = dilation * (kernel // 2)
    depth = nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False)
    return [nn.ReLU(), depth, nn.Conv2d(channels, channels, 1, bias=False), BatchNorm(channels, affine=affine)]


class FactorizedReduction(nn.Module):
    """Halves height and width: two 1x1 convolutions of stride 2, one of which begins a row and a column later.

    Deviation: a last odd row or column is met by a row or column of zeros, where the authors' code fails.
    """

    def __init__(self, inputs: int, outputs: int, affine: bool = True) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.conv2 = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.norm = BatchNorm(outputs, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """Returns maps (N, outputs, ceil(H / 2), ceil(W / 2)) of maps (N, inputs, H, W)."""
        out: Tensor = self.norm(self.convolved(self.relu(x)))
        return out

    def convolved(self, x: Tensor) -> Tensor:
        """Returns what stands before the norm, for a map that has gone through the ReLU."""
        height, width = x.shape[2:]
        later = nn.functional.pad(x, (0, width % 2, 0, height % 2))[:, :, 1:, 1:]
        if later.shape[2] == 0 or later.shape[3] == 0:
            later = nn.functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return torch.cat([self.conv1(x), self.conv2(later)], dim=1)


def operation(name: str, channels: int, stride: int, affine: bool = True) -> nn.Module:
    """Returns one of `search_spaces.architectures.darts.OPERATIONS`.

    Args:
        name: Which.
        channels: That go in and come out.
        stride: 1 or 2.
        affine: Whether batch norms learn a scale and a shift.

    Paper: Liu et al., 2019, arXiv 1806.09055, section 3.1.1: a separable convolution is applied twice.
    """
    kind, size = name[:-1], int(name[-1]) if name[-1].isdigit() else 0
    if kind == "sep":
        first = depthwise_norm(channels, size, stride, affine=affine)
        return nn.Sequential(*first, *depthwise_norm(channels, size, 1, affine=affine))
    if kind == "dil":
        return nn.Sequential(*depthwise_norm(channels, size, stride, dilation=2, affine=affine))
    if kind == "max":
        return nn.MaxPool2d(size, stride, size // 2)
    if kind == "avg":
        return nn.AvgPool2d(size, stride, size // 2, count_include_pad=False)
    return nn.Identity() if stride == 1 else FactorizedReduction(channels, channels, affine)


class CellInputs(nn.Module):
    """Brings the two inputs of a cell to its channels and to one size."""

    def __init__(self, plan: CellPlan, affine: bool = True) -> None:
        super().__init__()
        make: Callable[[int, int, bool], nn.Module] = FactorizedReduction if plan.halved else relu_conv_norm
        self.before = make(plan.before, plan.channels, affine)
        self.last = relu_conv_norm(plan.last, plan.channels, affine)

    def forward(self, before: Tensor, last: Tensor) -> list[Tensor]:
        """Returns both as maps of the cell's channels."""
        return [self.before(before), self.last(last)]


class DartsCellNetwork(nn.Module):
    """One cell; in training paths that are no plain skips may be dropped."""

    def __init__(self, spec: DartsCell, plan: CellPlan) -> None:
        super().__init__()
        self.inputs = CellInputs(plan)
        self.sources = tuple(node.inputs for node in spec.nodes)
        self.nodes = nn.ModuleList()
        for node in spec.nodes:
            pair = nn.ModuleList()
            for source, name in node.edges():
                made = operation(name, plan.channels, 2 if plan.reduces and source < 2 else 1)
                pair.append(made if isinstance(made, nn.Identity) else nn.Sequential(made, DropPath()))
            self.nodes.append(pair)

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        """Returns the cell's output for the outputs of the two cells before it."""
        maps = self.inputs(before, last)
        pair: Any
        for (low, high), pair in zip(self.sources, self.nodes, strict=True):
            maps.append(pair[0](maps[low]) + pair[1](maps[high]))
        return torch.cat(maps[2:], dim=1)


class CifarStem(nn.Sequential):
    """One 3x3 convolution and batch norm, whose output is both inputs of the first cell."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__(nn.Conv2d(inputs, channels, 3, padding=1, bias=False), BatchNorm(channels))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the two inputs of the first cell, which are one."""
        x: Tensor = super().forward(image)  # type: ignore[no-untyped-call]
        return x, x


class ImagenetStem(nn.Module):
    """Three convolutions of stride 2, the last of which the second input of the first cell has gone through alone."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()

        def conv(a: int, b: int) -> list[nn.Module]:
            return [nn.Conv2d(a, b, 3, 2, 1, bias=False), BatchNorm(b)]

        half = channels // 2
        self.first = nn.Sequential(*conv(inputs, half), nn.ReLU(inplace=True), *conv(half, channels))
        self.second = nn.Sequential(nn.ReLU(), *conv(channels, channels))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the two inputs of the first cell."""
        before = self.first(image)
        return before, self.second(before)


def stem(spec: Darts, inputs: int) -> nn.Module:
    """Returns the stem that a spec asks for."""
    return (ImagenetStem if spec.stem == "imagenet" else CifarStem)(inputs, spec.stem_channels())


class AuxiliaryHead(nn.Module):
    """A classifier on the output of the second reduction: average pool, two convolutions, a linear layer.

    Args:
        channels: Of the map.
        outputs: Number of classes.
        imagenet: The average has stride 2 in place of 3, and the second convolution has no batch norm.

    Deviation: the average leaves 2x2 positions of a map of any size; for those that the authors' code takes, 8x8 and
        7x7, its windows are theirs.
    """

    def __init__(self, channels: int, outputs: int, imagenet: bool) -> None:
        super().__init__()
        norm = [] if imagenet else [BatchNorm(768)]
        self.stride = 2 if imagenet else 3
        self.features = nn.Sequential(
            nn.Conv2d(channels, 128, 1, bias=False),
            BatchNorm(128),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, 768, 2, bias=False),
            *norm,
            nn.ReLU(inplace=True),
        )
        self.classifier = nn.Linear(768, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits (N, outputs) of a map (N, channels, H, W)."""
        x = torch.relu(x)
        windows = all((size - 5) // self.stride == 1 and size >= 5 for size in x.shape[2:])
        averages = nn.functional.avg_pool2d(x, 5, self.stride) if windows else nn.functional.adaptive_avg_pool2d(x, 2)
        out: Tensor = self.classifier(self.features(averages).flatten(1))
        return out


class DartsNetwork(nn.Module):
    """Stem, cells, average and linear classifier.

    In train mode it returns a dict: `out`, logits (N, outputs); `aux` (where there is one), those of the other head.
    """

    def __init__(self, spec: Darts, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        plans = spec.plan()
        self.stem = stem(spec, input_shape[0])
        self.cells = nn.ModuleList(DartsCellNetwork(spec.cell(plan), plan) for plan in plans)
        self.last_reduction = spec.reductions()[-1]
        inner = plans[self.last_reduction].outputs
        self.aux = AuxiliaryHead(inner, outputs, spec.stem == "imagenet") if spec.aux else None
        self.classifier = nn.Linear(plans[-1].outputs, outputs)

    @property
    def classifier_layer(self) -> nn.Module:
        """The layer that scores the classes."""
        return self.classifier

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:
        """Returns the logits (N, outputs) of images (N, C, H, W); in train mode as `out` of a dict."""
        before, last = self.stem(image)
        aux = None
        for i, cell in enumerate(self.cells):
            before, last = last, cell(before, last)
            if self.training and self.aux is not None and i == self.last_reduction:
                aux = self.aux(last)
        out: Tensor = self.classifier(last.mean((2, 3)))
        if not self.training:
            return out
        return {"out": out} if aux is None else {"out": out, "aux": aux}
