"""Feature pyramid attention: weights of positions from ever coarser views of the map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.base import Attention, Pyramid
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn


class FeaturePyramidAttention(Attention):
    """A 1x1 convolution of the map times a pyramid of convolutions on halved maps, plus the average of the map.

    The pyramid halves the map, again and again, with a convolution each; from its coarsest level upwards it adds a
    second convolution of each. Maps may have any size: odd ones are rounded up when they are halved.

    Args:
        levels: Halved maps. Their kernels are 3, 5, 7 from the coarsest upwards.
        weights: Whether the pyramid ends in `one` weight a position or in `each` channel's own.

    Paper: Li et al., 2018, arXiv 1805.10180, section 3.1; one weight a position as in most implementations.
    """

    kind: Literal["fpa"] = "fpa"
    levels: Hole[Annotated[int, Field(ge=1, le=3)]] = 3
    weights: Hole[Literal["one", "each"]] = "one"

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.pyramid_attention import FpaModule

        return FpaModule(self, inputs[-1].channels)
