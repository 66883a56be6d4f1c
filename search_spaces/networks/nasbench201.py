"""The network of a `NasBench201`: three stages of one cell, residual blocks between them.

Paper: Dong & Yang, 2020, arXiv 2001.00326, section 2.1; orders and strides as in the authors' code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from search_spaces.networks.convolution import BatchNorm
from search_spaces.networks.layers import GlobalAverage

if TYPE_CHECKING:
    from search_spaces.architectures.nasbench201 import Edge, NasBench201


def relu_conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Returns ReLU, convolution and batch norm that keep ceil(size / stride)."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), conv, BatchNorm(outputs))


def operation(name: str, channels: int) -> nn.Module:
    """Returns the module of an edge from `channels` to `channels` channels; it keeps height and width.

    Args:
        name: One of the operations of the space but `none`.
        channels: Of the map.
    """
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return relu_conv_norm(channels, channels, {"nor_conv_1x1": 1, "nor_conv_3x3": 3}[name])


class NasBench201Cell(nn.Module):
    """Four nodes, of which each but the first is the sum of the edges into it; the last one is the output.

    Args:
        live: The edges that have an effect.
        channels: Of the map that goes in and comes out.
    """

    def __init__(self, live: tuple[Edge, ...], channels: int) -> None:
        super().__init__()
        self.live = live
        self.edges = nn.ModuleDict({str(edge.place): operation(edge.operation, channels) for edge in live})

    def forward(self, x: Tensor) -> Tensor:
        """Returns the output (N, C, H, W) for the map `x` (N, C, H, W)."""
        nodes: dict[int, Tensor] = {0: x}
        for edge in self.live:
            source = nodes[edge.source] if edge.source in nodes else x.mul(0.0)
            out = self.edges[str(edge.place)](source)
            nodes[edge.target] = nodes[edge.target] + out if edge.target in nodes else out
        return nodes[3] if 3 in nodes else x.mul(0.0)  # the product keeps what comes before within reach of gradients


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the first of stride 2, beside an average of 2x2 and a 1x1 convolution without norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = relu_conv_norm(inputs, outputs, 3, stride=2)
        self.conv2 = relu_conv_norm(outputs, outputs, 3)
        # Maps of odd size keep their last row and column, as in the convolution beside.
        pool = nn.AvgPool2d(2, stride=2, ceil_mode=True, count_include_pad=False)
        self.shortcut = nn.Sequential(pool, nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the sum of both branches for a map `x` (N, C, H, W), (N, outputs, ceil(H / 2), ceil(W / 2))."""
        out: Tensor = self.conv2(self.conv1(x)) + self.shortcut(x)
        return out


class NasBench201Network(nn.Module):
    """Stem, stages with residual blocks between them, norm, ReLU, average over positions, linear classifier."""

    def __init__(self, spec: NasBench201, channels: int, outputs: int) -> None:
        super().__init__()
        live, width = spec.live_edges(), spec.channels
        self.stem = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1, bias=False), BatchNorm(width))
        self.stages = ("stage1", "reduction2", "stage2", "reduction3", "stage3")
        for i in (1, 2, 3):
            if i > 1:
                self.add_module(f"reduction{i}", ResidualBlock(width, width * 2))
                width *= 2
            self.add_module(f"stage{i}", nn.Sequential(*(NasBench201Cell(live, width) for _ in range(spec.cells))))
        self.norm = nn.Sequential(BatchNorm(width), nn.ReLU(inplace=True))
        self.average = GlobalAverage()
        self.classifier = nn.Linear(width, outputs)

    @property
    def classifier_layer(self) -> nn.Module:
        """The layer that scores the classes."""
        return self.classifier

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:
        """Returns the logits (N, outputs) of images (N, C, H, W); in train mode as `out` of a dict."""
        x = self.stem(image)
        for name in self.stages:
            x = self.get_submodule(name)(x)
        out: Tensor = self.classifier(self.average(self.norm(x)))
        return {"out": out} if self.training else out
