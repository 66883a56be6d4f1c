"""The network of an `EnasMacro`: layers of one operation, joined with earlier maps.

Paper: Pham et al., 2018, arXiv 1802.03268, section 2.3; orders and paddings as in the authors' code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_spaces.blocks.convolution import ConvPlan
from search_spaces.networks.convolution import BatchNorm, conv, he
from search_spaces.networks.layers import GlobalAverage
from search_spaces.networks.nasnet_operations import FactorizedReduction, relu_conv_norm

if TYPE_CHECKING:
    from search_spaces.architectures.enas_macro import EnasMacro


def operation(name: str, channels: int) -> nn.Sequential:
    """Returns a 1x1 convolution and behind it a convolution, a separable one, or a pooling; the shape stays.

    Args:
        name: One of the space.
        channels: Of the map.
    """
    kind, size = name.rsplit("_", 1)
    kernel = int(size[0])
    first = relu_conv_norm(ConvPlan(channels, channels, (1, 1)))
    if kind == "max_pool":
        return nn.Sequential(first, nn.MaxPool2d(kernel, 1, kernel // 2))
    if kind == "avg_pool":
        return nn.Sequential(first, nn.AvgPool2d(kernel, 1, kernel // 2, count_include_pad=False))
    return nn.Sequential(first, relu_conv_norm(ConvPlan(channels, channels, (kernel, kernel)), kind == "sep_conv"))


class MacroLayerModule(nn.Module):
    """An operation, and what joins its output with the maps of skips.

    Args:
        name: Of the operation.
        channels: Of all maps.
        skips: Number of skips; None for the first layer, behind which there is no join.
    """

    def __init__(self, name: str, channels: int, skips: int | None) -> None:
        super().__init__()
        self.operation = operation(name, channels)
        self.join = None if skips is None else relu_conv_norm(ConvPlan(channels * (skips + 1), channels, (1, 1)))

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Returns the layer's map for the map before and those of skips, all (N, C, H, W)."""
        out: Tensor = self.operation(x)
        return out if self.join is None else self.join(torch.cat([*skips, out], dim=1))


def _layer(spec: EnasMacro, i: int) -> MacroLayerModule:
    layer = spec.layers[i]
    return MacroLayerModule(layer.operation, spec.width(spec.stage(i)), len(layer.skips) if i else None)


def layer_params(spec: EnasMacro, i: int) -> int:
    """Returns the trainable parameters of a layer, by its index."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return sum(weight.numel() for weight in _layer(spec, i).parameters())


class EnasMacroNetwork(nn.Module):
    """Stem, layers, halvings of the maps that are read later, average over positions, linear classifier."""

    def __init__(self, spec: EnasMacro, channels: int, outputs: int) -> None:
        super().__init__()
        stem = he(conv(ConvPlan(channels, spec.width(0))))
        self.stem = nn.Sequential(stem, BatchNorm(spec.width(0)))
        self.layers = nn.ModuleList(_layer(spec, i) for i in range(len(spec.layers)))
        self.sources = tuple(layer.skips for layer in spec.layers)
        self.halvings = spec.halvings()
        for stage in (1, 2):
            widths = spec.width(stage - 1), spec.width(stage)
            made = {str(number): FactorizedReduction(*widths) for number in spec.halved(stage)}
            self.add_module(f"halving{stage}", nn.ModuleDict(made))
        self.average = GlobalAverage()
        self.classifier = nn.Linear(spec.width(spec.stage(len(spec.layers) - 1)), outputs)

    @property
    def classifier_layer(self) -> nn.Module:
        """The layer that scores the classes."""
        return self.classifier

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:
        """Returns the logits (N, outputs) of images (N, C, H, W); in train mode as `out` of a dict."""
        maps = {0: self.stem(image)}
        for i, (layer, sources) in enumerate(zip(self.layers, self.sources, strict=True)):
            maps[i + 1] = layer(maps[i], [maps[source] for source in sources])
            for stage, halving in enumerate(self.halvings, 1):
                if i == halving:
                    halved = self.get_submodule(f"halving{stage}")
                    maps |= {int(number): reduce(maps[int(number)]) for number, reduce in halved.named_children()}
        out: Tensor = self.classifier(self.average(maps[len(self.layers)]))
        return {"out": out} if self.training else out
