"""The network of a `Nasnet`: a stem, cells, a classifier, and one for training alone."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from torch import Tensor, nn

from search_spaces.architectures.nasnet import AUXILIARY_HIDDEN, AUXILIARY_POOL, AUXILIARY_WIDTH
from search_spaces.blocks.convolution import ConvPlan
from search_spaces.networks.convolution import BatchNorm, conv_norm, he
from search_spaces.networks.layers import Concatenate, GlobalAverage
from search_spaces.networks.nasnet_operations import matching, operation, relu_conv_norm

if TYPE_CHECKING:
    from search_spaces.architectures.nasnet import CellPlan, Nasnet, Source
    from search_spaces.architectures.nasnet_cells import CellBlock


class BlockModule(nn.Module):
    """An operation on each of two states, and the sum of the results, or both side by side.

    Args:
        block: Its spec.
        plan: The cell that it stands in.
        channels: Channels of the states that there are.
        strides: Steps of operations on them.
    """

    def __init__(self, block: CellBlock, plan: CellPlan, channels: list[int], strides: list[int]) -> None:
        super().__init__()
        self.sources = block.left, block.right
        self.left, self.right = (
            operation(name, channels[state], plan.filters, strides[state], plan.depth)
            for name, state in ((block.left_op, block.left), (block.right_op, block.right))
        )
        self.beside = Concatenate() if block.combine == "concat" else None

    def forward(self, states: list[Tensor]) -> Tensor:
        """Returns the new state, (N, filters or twice as many, h, w), from earlier ones (N, C_i, H_i, W_i)."""
        left, right = (states[state] for state in self.sources)
        left, right = self.left(left), self.right(right)
        out: Tensor = left + right if self.beside is None else self.beside(left, right)
        return out


class CellModule(nn.Module):
    """Both inputs brought to one shape, the blocks, and the states of the output side by side.

    An input that has no effect is left as it is. A state of the output is brought to the shape of the others: half the
    height and width where the cell halves them, and `filters` channels.

    Deviation: the authors' code, which adds and never concatenates, brings states to the channels of the last block.
        They are `filters` in a block that adds; here always, so that the order of blocks does not matter.

    Paper: Zoph et al., 2018, arXiv 1707.07012, section 3.1 and appendix A.4.
    """

    def __init__(self, plan: CellPlan) -> None:
        super().__init__()
        cell, filters = plan.cell, plan.filters
        channels = [plan.current.shape[0], plan.previous.shape[0]]
        self.current: nn.Module = nn.Identity()
        self.previous: nn.Module = nn.Identity()
        if cell.needs(0):
            self.current, channels[0] = relu_conv_norm(ConvPlan(channels[0], filters, (1, 1))), filters
        if cell.needs(1) and plan.previous.name != plan.current.name:
            self.previous, channels[1] = _calibrated(plan), filters
        strides = [plan.stride, plan.stride]
        self.blocks = nn.ModuleList()
        for block in cell.blocks:
            self.blocks.append(BlockModule(block, plan, channels, strides))
            channels.append(2 * filters if block.combine == "concat" else filters)
            strides.append(1)
        self.ends = cell.ends()
        smaller = plan.output.shape[1:] != plan.current.shape[1:]
        self.matching = nn.ModuleList(
            matching(channels[state], filters, smaller and strides[state] > 1) for state in self.ends
        )
        self.beside = Concatenate()

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """Returns the cell's map, (N, states x filters, h, w).

        Args:
            current: The output of the cell before, (N, C, H, W).
            previous: That of the one before it, (N, C', H, W) or of twice the height and width.
        """
        states = [self.current(current), self.previous(previous)]
        for block in self.blocks:
            states.append(block(states))
        out: Tensor = self.beside(*[match(states[end]) for match, end in zip(self.matching, self.ends, strict=True)])
        return out


def _calibrated(plan: CellPlan) -> nn.Module:
    (channels, *size), filters = plan.previous.shape, plan.filters
    if tuple(size) != plan.current.shape[1:]:
        return nn.Sequential(nn.ReLU(), matching(channels, filters, halves=True))
    return nn.Identity() if channels == filters else relu_conv_norm(ConvPlan(channels, filters, (1, 1)))


def auxiliary(source: Source, outputs: int) -> nn.Sequential:
    """Returns the classifier for training: average pooling, a 1x1 and a convolution over the whole map, linear.

    Maps of another size than that of `source`, as training with several sizes has them, are averaged to its grid.

    Args:
        source: What it reads.
        outputs: Number of classes.

    Paper: Szegedy et al., 2015, arXiv 1512.00567, figure 8, with the sizes of NASNet's code.
    """
    channels, *size = source.shape
    grid = [(side - AUXILIARY_POOL) // 3 + 1 for side in size]
    whole = nn.Conv2d(AUXILIARY_WIDTH, AUXILIARY_HIDDEN, (grid[0], grid[1]), bias=False)
    return nn.Sequential(
        nn.ReLU(),
        nn.AvgPool2d(AUXILIARY_POOL, stride=3),
        conv_norm(channels, AUXILIARY_WIDTH),
        nn.AdaptiveAvgPool2d((grid[0], grid[1])),
        nn.Sequential(he(whole), BatchNorm(AUXILIARY_HIDDEN), nn.ReLU(inplace=True)),
        nn.Flatten(),
        nn.Linear(AUXILIARY_HIDDEN, outputs),
    )


class NasnetNetwork(nn.Module):
    """The stem, the cells that have an effect, ReLU, the average over positions and a linear classifier.

    In train mode it returns a dict: `out`, the logits (N, outputs), and `aux`, those of the auxiliary classifier if
    there is one.
    """

    def __init__(self, spec: Nasnet, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        plans = spec.plan(input_shape)
        strided = spec.stem == "imagenet"
        stem = nn.Conv2d(input_shape[0], spec.stem_width(), 3, 2 if strided else 1, 0 if strided else 1, bias=False)
        self.stem = nn.Sequential(OrderedDict(conv=he(stem), norm=BatchNorm(spec.stem_width())))
        # In place of an input without effect, which may not have been made, stands the other one.
        self.sources = {plan.name: (plan.sources[0], plan.sources[-1]) for plan in plans}
        for plan in plans:
            self.add_module(plan.name, CellModule(plan))
        last = plans[-1].output
        self.relu = nn.ReLU()
        self.average = GlobalAverage()
        self.classifier = nn.Linear(last.shape[0], outputs)
        self.inner = spec.aux_source(plans).name
        self.aux = auxiliary(spec.aux_source(plans), outputs) if spec.aux else None

    @property
    def classifier_layer(self) -> nn.Module:
        """The layer that scores the classes."""
        return self.classifier

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:
        """Returns the logits (N, outputs) of images (N, C, H, W); in train mode as `out` of a dict."""
        maps = self.maps(image)
        out: Tensor = self.classifier(self.average(self.relu(maps[next(reversed(maps))])))
        if not self.training:
            return out
        return {"out": out} if self.aux is None else {"out": out, "aux": self.aux(maps[self.inner])}

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """Returns the outputs of the stem and of every cell by name, (N, C_i, H_i, W_i)."""
        maps = {"stem": self.stem(image)}
        for name, (current, previous) in self.sources.items():
            maps[name] = self.get_submodule(name)(maps[current], maps[previous])
        return maps
