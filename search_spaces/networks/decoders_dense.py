"""The modules of `search_spaces.blocks.decoders_dense`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_spaces.networks.convolution import BatchNorm, conv_norm, resized
from search_spaces.networks.decoders import Decoded, size_of
from search_spaces.networks.fusion import to_first

if TYPE_CHECKING:
    from search_spaces.blocks.base import Pyramid
    from search_spaces.blocks.decoders_dense import Dla, FullyDense, Tiramisu, UnetPlusPlus


class UnetPlusPlusModule(nn.Module):
    """The nodes by their level and their place in it: `nodes.LEVEL_PLACE`."""

    def __init__(self, spec: UnetPlusPlus, inputs: Pyramid) -> None:
        super().__init__()
        self.depth, self.supervision = spec.depth or len(inputs) - 1, spec.supervision
        self.nodes = nn.ModuleDict()
        for j in range(1, self.depth + 1):
            for i in range(self.depth + 1 - j):
                width = spec.width * 2**i
                below = inputs[i + 1].channels if j == 1 else 2 * width
                joined = inputs[i].channels + (j - 1) * width + below
                self.nodes[f"{i}_{j}"] = nn.Sequential(conv_norm(joined, width, 3), conv_norm(width, width, 3))

    def forward(self, maps: Sequence[Tensor]) -> Decoded:
        """Returns the map (N, width, h, w) at the size of the finest one, for maps (N, C_i, H_i, W_i)."""
        levels = [[x] for x in maps[: self.depth + 1]]
        for j in range(1, self.depth + 1):
            for i in range(self.depth + 1 - j):
                joined = torch.cat(to_first([*levels[i], levels[i + 1][j - 1]]), dim=1)
                levels[i].append(self.nodes[f"{i}_{j}"](joined))
        *others, out = levels[0][1:]
        return {"out": out, "aux": tuple(reversed(others))} if self.training and self.supervision else out


class FullyDenseModule(nn.Module):
    """The stages, the coarsest first."""

    def __init__(self, spec: FullyDense, inputs: Pyramid) -> None:
        super().__init__()
        self.supervision = spec.supervision
        stages, channels = [], [feature.channels for feature in inputs]
        for _ in inputs[:-1]:
            stages.append(FullyDenseStage(channels, spec.compress, spec.width))
            channels = [*channels, spec.width]
        self.stages = nn.ModuleList(stages)

    def forward(self, maps: Sequence[Tensor]) -> Decoded:
        """Returns the map (N, width, h, w) at the size of the finest one, for maps (N, C_i, H_i, W_i)."""
        found = list(maps)
        for stage, level in zip(self.stages, reversed(maps[:-1]), strict=True):
            found.append(stage(found, size_of(level)))
        *others, out = found[len(maps) :]
        return {"out": out, "aux": tuple(reversed(others))} if self.training and self.supervision else out


class FullyDenseStage(nn.Module):
    """Maps, each reduced and resized, side by side, then two 3x3 convolutions."""

    def __init__(self, channels: Sequence[int], compress: int, width: int) -> None:
        super().__init__()
        self.compress = nn.ModuleList([conv_norm(c, compress) for c in channels])
        self.refine = nn.Sequential(conv_norm(len(channels) * compress, width, 3), conv_norm(width, width, 3))

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Returns the stage's map (N, width, h, w) of `size` (h, w) for maps (N, C_i, H_i, W_i)."""
        reduced = [resized(conv(x), size) for conv, x in zip(self.compress, maps, strict=True)]
        out: Tensor = self.refine(torch.cat(reduced, dim=1))
        return out


class DlaModule(nn.Module):
    """Rounds of aggregation; each starts one level finer than the last."""

    def __init__(self, spec: Dla, inputs: Pyramid) -> None:
        super().__init__()
        channels = [feature.channels for feature in inputs]
        rounds = []
        for i in reversed(range(len(inputs) - 1)):
            width = spec.width * 2**i
            rounds.append(DlaRound(channels[i:], width, spec.residual))
            channels[i + 1 :] = [width] * (len(channels) - i - 1)
        self.rounds = nn.ModuleList(rounds)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the map (N, width, h, w) at the size of the finest one, for maps (N, C_i, H_i, W_i)."""
        found: list[Tensor] = [maps[-1]]
        for aggregate, level in zip(self.rounds, reversed(maps[:-1]), strict=True):
            found = [level, *aggregate([level, *found])]
        return found[-1]


class DlaRound(nn.Module):
    """From a level on, each map joined with what its finer neighbours have become."""

    def __init__(self, channels: Sequence[int], width: int, residual: bool) -> None:
        super().__init__()
        self.project = nn.ModuleList([nn.Identity() if c == width else conv_norm(c, width) for c in channels])
        self.nodes = nn.ModuleList([AggregationNode(2 * width, width, residual) for _ in channels[1:]])

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Returns as many maps less one, (N, width, h, w) of the size of the first, for maps (N, C_i, H_i, W_i)."""
        x, *others = to_first([conv(x) for conv, x in zip(self.project, maps, strict=True)])
        found = []
        for node, other in zip(self.nodes, others, strict=True):
            x = node([x, other])
            found.append(x)
        return found


class AggregationNode(nn.Module):
    """Maps side by side through a 3x3 convolution and batch norm, the last of them added where asked for, then ReLU."""

    def __init__(self, inputs: int, outputs: int, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.conv = conv_norm(inputs, outputs, 3)[:2]
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the map (N, outputs, H, W) that maps (N, C_i, H, W) become."""
        x = self.conv(torch.cat(list(maps), dim=1))
        out: Tensor = self.relu(x + maps[-1] if self.residual else x)
        return out


class TiramisuModule(nn.Module):
    """Dense blocks, the coarsest first, and what brings their additions up."""

    def __init__(self, spec: Tiramisu, inputs: Pyramid) -> None:
        super().__init__()
        added = spec.growth * spec.layers
        channels = [inputs[-1].channels, *(feature.channels + added for feature in reversed(inputs[:-1]))]
        self.blocks = nn.ModuleList([DenseBlock(c, spec) for c in channels])
        ratios = [b.stride // a.stride for a, b in zip(inputs, inputs[1:], strict=False)]
        self.rise = nn.ModuleList([risen(added, added, ratio) for ratio in reversed(ratios)])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the map (N, C_0 + 2 * growth * layers, H_0, W_0) for maps (N, C_i, H_i, W_i)."""
        x = maps[-1]
        added: Tensor = self.blocks[0](x)
        for block, rise, skip in zip(self.blocks[1:], self.rise, reversed(maps[:-1]), strict=True):
            height, width = size_of(skip)
            x = torch.cat([skip, rise(added)[:, :, :height, :width]], dim=1)
            added = block(x)
        return torch.cat([x, added], dim=1)


def risen(inputs: int, outputs: int, ratio: int) -> nn.Module:
    """Returns a transposed convolution whose output has `ratio` times height and width; 3x3 for 1 and 2."""
    if ratio == 1:
        return nn.Conv2d(inputs, outputs, 3, padding=1)
    return nn.ConvTranspose2d(inputs, outputs, ratio + 1, ratio, padding=1, output_padding=1)


class DenseBlock(nn.Module):
    """Layers that each read the input and what all layers before have added."""

    def __init__(self, channels: int, spec: Tiramisu) -> None:
        super().__init__()
        layers = []
        for i in range(spec.layers):
            read = channels + i * spec.growth
            conv = nn.Conv2d(read, spec.growth, 3, padding=1, bias=False)
            layers.append(nn.Sequential(BatchNorm(read), nn.ReLU(inplace=True), conv, nn.Dropout(spec.dropout)))
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Returns what the layers add, (N, growth * layers, H, W), to a map (N, C, H, W)."""
        added: list[Tensor] = []
        for layer in self.layers:
            added.append(layer(torch.cat([x, *added], dim=1)))
        return torch.cat(added, dim=1)
