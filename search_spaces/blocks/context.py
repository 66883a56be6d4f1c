"""Modules that give each position of a map a view of its surroundings or of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.base import Context, Feature, Pyramid
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class Aspp(Context):
    """A 1x1 convolution, dilated 3x3 ones and the average of the whole map side by side, then a 1x1 projection.

    Args:
        rates: Dilations of the 3x3 convolutions; 6, 12, 18 are meant for maps of stride 16; worth searching: these,
            12, 24, 36, and 3, 6, 9.
        width: Channels of each branch and of the output.
        dropout: Rate behind the projection.

    Paper: Chen et al., 2017, arXiv 1706.05587, section 3.3.
    """

    kind: Literal["aspp"] = "aspp"
    rates: Hole[Annotated[tuple[Size, ...], Field(min_length=1)]] = (6, 12, 18)
    width: Hole[Size] = 256
    dropout: Hole[Rate] = 0.5

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns the map with `width` channels."""
        return (Feature(self.width, inputs[-1].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.context import AsppModule

        return AsppModule(self, inputs[-1].channels)


class Psp(Context):
    """The map beside what it is pooled to over grids of several sizes, each reduced by 1x1: twice the channels.

    Args:
        bins: Rows, and columns, of each grid; their number divides the channels.
        pool: What stands for a cell of a grid: its `average`, or its `max` as in spatial pyramid pooling.

    Paper: Zhao et al., 2017, arXiv 1612.01105, section 3.2. Maximum: He et al., 2014, arXiv 1406.4729, section 2.2.
    """

    kind: Literal["psp"] = "psp"
    bins: Hole[Annotated[tuple[Size, ...], Field(min_length=1)]] = (1, 2, 3, 6)
    pool: Hole[Literal["average", "max"]] = "average"

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns the map with twice the channels."""
        channels = inputs[-1].channels
        if channels % len(self.bins):
            rule = f"the number of bins divides the channels of the map, {channels}"
            raise SpecError(rule, list(self.bins), "as many bins as divide the channels", "bins")
        return (Feature(2 * channels, inputs[-1].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.context import PspModule

        return PspModule(self, inputs[-1].channels)


class Ssh(Context):
    """A 3x3 convolution beside stacks of two and of three that share their first: three sizes of surroundings, joined.

    The 3x3 convolution makes half of the channels, each stack, which sees 5x5 or 7x7, a quarter.

    Args:
        width: Channels of the output, a multiple of 4; None: those of the input.

    Paper: Najibi et al., 2017, arXiv 1708.03979, section 3.3 (context module).
    Deviation: Batch norm behind every convolution.
    """

    kind: Literal["ssh"] = "ssh"
    width: Hole[Size | None] = None

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns the map with `width` channels."""
        width = inputs[-1].channels if self.width is None else self.width
        if width % 4:
            raise SpecError("half and quarters of the channels are whole numbers", width, "a multiple of 4", "width")
        return (Feature(width, inputs[-1].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.context import SshModule

        return SshModule(inputs[-1].channels, self.outputs(inputs)[0].channels)


class Cpm(Context):
    """A residual bottleneck of 1x1 convolutions, then the surroundings that `ssh` joins: wider and deeper than it.

    Args:
        hidden: Channels within the bottleneck; four times as many come out of it.
        width: Channels of the output, a multiple of 4.

    Paper: Tang et al., 2018, arXiv 1803.07737, section 3.1 (context-sensitive predict module, of 256 and 512).
    """

    kind: Literal["cpm"] = "cpm"
    hidden: Hole[Size] = 256
    width: Hole[Size] = 512

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns the map with `width` channels."""
        return Ssh(width=self.width).outputs(inputs)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.context import CpmModule

        self.outputs(inputs)
        return CpmModule(self, inputs[-1].channels)
