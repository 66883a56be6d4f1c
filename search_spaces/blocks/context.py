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
        rates: Dilations of the 3x3 convolutions; 6, 12, 18 are meant for maps of stride 16.
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
    """The map beside its averages over grids of several sizes, each reduced by a 1x1 convolution: twice the channels.

    Args:
        bins: Rows, and columns, of each grid; their number divides the channels.

    Paper: Zhao et al., 2017, arXiv 1612.01105, section 3.2.
    """

    kind: Literal["psp"] = "psp"
    bins: Hole[Annotated[tuple[Size, ...], Field(min_length=1)]] = (1, 2, 3, 6)

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
