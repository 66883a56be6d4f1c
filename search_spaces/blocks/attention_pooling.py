"""Global pooling that looks where it matters for the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from search_spaces.blocks.attention import Size
from search_spaces.blocks.base import Pyramid
from search_spaces.blocks.pooling import GlobalPooling
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn


class LearnToPayAttention(GlobalPooling):
    """The averages of the last maps, weighed by how their positions go with the average of the coarsest, side by side.

    A map with other channels than the coarsest first goes through a 1x1 convolution.

    Args:
        score: How position l goes with the average g: `dot`, their product; `param`, the product of their sum with a
            learned vector, in which g moves all positions alike and so, behind the softmax, none.
        layers: Number of the coarsest maps that are averaged. Range worth searching: 1 to 3.

    Paper: Jetley et al., 2018, arXiv 1804.02391, section 3.
    """

    kind: Literal["ltpa"] = "ltpa"
    score: Hole[Literal["dot", "param"]] = "param"
    layers: Hole[Size] = 2

    def features(self, inputs: Pyramid) -> int:
        """Returns the coarsest map's channels times the number of maps.

        Raises:
            SpecError: There are fewer maps than `layers`.
        """
        if len(inputs) < self.layers:
            raise SpecError("there are maps to attend to", self.layers, f"1 to {len(inputs)}", "layers")
        return self.layers * inputs[-1].channels

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.attention_pooling import LtpaModule

        self.features(inputs)
        return LtpaModule(self, [feature.channels for feature in inputs[-self.layers :]])
