"""Spatial pyramid pooling: one vector of fixed length from a map of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.base import Pyramid
from search_spaces.blocks.pooling import GlobalPooling
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]


class SpatialPyramid(GlobalPooling):
    """The maxima of the coarsest map over the cells of grids of several sizes, side by side.

    Args:
        bins: Rows, and columns, of each grid; range worth searching: (1, 2), (1, 2, 4), (1, 2, 3, 6).

    Paper: He et al., 2014, arXiv 1406.4729, section 2.2.
    """

    kind: Literal["spp"] = "spp"
    bins: Hole[Annotated[tuple[Size, ...], Field(min_length=1)]] = (1, 2, 4)

    def features(self, inputs: Pyramid) -> int:
        """Returns as many numbers as the grids have cells, for each channel of the coarsest map."""
        return inputs[-1].channels * sum(bins**2 for bins in self.bins)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module; it has no weights."""
        from search_spaces.networks.pyramid_pooling import SpatialPyramidModule

        return SpatialPyramidModule(self.bins)
