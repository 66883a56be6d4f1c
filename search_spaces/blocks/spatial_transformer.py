"""Spatial transformers: a map, looked at from where the map itself says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.attention import Size
from search_spaces.blocks.base import Attention, Pyramid
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn


class SpatialTransformer(Attention):
    """The map, moved, turned, scaled and sheared by an affine map that a small network derives from it; at first as is.

    Args:
        width: Channels of the small network: two 3x3 convolutions of stride 2, an average over 4 x 4 cells, a linear
            layer. Range worth searching: 16 to 64.
        rate: What the distance of the affine map from the identity is multiplied by, so that it is learned more slowly
            than the rest.

    Paper: Jaderberg et al., 2015, arXiv 1506.02025, sections 3.1 to 3.3, equations 1 and 5.
    Deviation: `rate` stands for the lower learning rate of the small network, whatever the optimizer.
    """

    kind: Literal["spatial_transformer"] = "spatial_transformer"
    width: Hole[Size] = 32
    rate: Hole[Annotated[float, Field(gt=0)]] = 0.1

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.spatial_transformer import SpatialTransformerModule

        return SpatialTransformerModule(self, inputs[-1].channels)
