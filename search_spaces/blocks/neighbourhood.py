"""Attention to a neighbourhood: local sums whose weights depend on what lies there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from search_spaces.blocks.attention import Size, must_divide
from search_spaces.blocks.base import Attention, Pyramid
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Footprint = Literal[3, 5, 7, 9]


def check_share(channels: int, reduction: int, share: int) -> None:
    """Refuses a number of channels that cannot share weights.

    Args:
        channels: Channels of the map.
        reduction: Channels of the map over those that are summed.
        share: How many of those share their weights.

    Raises:
        SpecError: It does not divide the channels that are summed.
    """
    summed = max(1, channels // reduction)
    must_divide(share, summed, f"channels that share weights divide those summed of {channels}", "share")


class PairwiseAttention(Attention):
    """To each position a sum over its neighbourhood, each neighbour weighed, a channel, by how it relates to it.

    Batch norm and ReLU in front, the sum of fewer channels, batch norm, ReLU and a 1x1 convolution; added to the map.

    Args:
        footprint: Rows, and columns, of the neighbourhood.
        relation: What the weights are derived from, of linear functions of both values: their difference, sum,
            product channel by channel, concatenation or dot product; the place of the neighbour goes with it.
        share: Channels that share their weights; they divide those summed.
        reduction: Channels of the map over those summed; a fourth of these, at least one, are related.

    Paper: Zhao et al., 2020, arXiv 2004.13621, sections 3.1 and 4; weights add up to 1 by a softmax over
        the neighbourhood, as in the authors' code.
    Deviation: Around the map lie zeros, not its reflection, which small maps do not have; the place of a neighbour is
        its distance in positions, not the difference of coordinates that depend on the size of the map.
    """

    kind: Literal["pairwise_attention"] = "pairwise_attention"
    footprint: Hole[Footprint] = 7
    relation: Hole[Literal["sub", "sum", "mul", "concat", "dot"]] = "sub"
    share: Hole[Size] = 8
    reduction: Hole[Size] = 4

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns the coarsest map as it is.

        Raises:
            SpecError: `share` does not divide the channels that are summed.
        """
        check_share(inputs[-1].channels, self.reduction, self.share)
        return inputs[-1:]

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.neighbourhood import NeighbourhoodModule, PairwiseWeights

        self.outputs(inputs)
        return NeighbourhoodModule(self, inputs[-1].channels, PairwiseWeights)


class PatchwiseAttention(Attention):
    """To each position a sum over its neighbourhood, whose weights are all derived from the whole neighbourhood.

    Batch norm and ReLU in front, the sum of fewer channels, batch norm, ReLU and a 1x1 convolution; added to the map.

    Args:
        footprint: Rows, and columns, of the neighbourhood.
        relation: What the weights are derived from, of linear functions of the values. `star`: the dot products of the
            middle with every neighbour; `clique`: those of all pairs of neighbours; `concat`: the middle and all
            neighbours.
        share: Channels that share their weights; they divide those summed.
        reduction: Channels of the map over those summed; a fourth of these, at least one, are related.

    Paper: Zhao et al., 2020, arXiv 2004.13621, sections 3.2 and 4.
    Deviation: Around the map lie zeros, not its reflection, which small maps do not have.
    """

    kind: Literal["patchwise_attention"] = "patchwise_attention"
    footprint: Hole[Footprint] = 7
    relation: Hole[Literal["star", "clique", "concat"]] = "concat"
    share: Hole[Size] = 8
    reduction: Hole[Size] = 4

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns the coarsest map as it is.

        Raises:
            SpecError: `share` does not divide the channels that are summed.
        """
        check_share(inputs[-1].channels, self.reduction, self.share)
        return inputs[-1:]

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.neighbourhood import NeighbourhoodModule, PatchwiseWeights

        self.outputs(inputs)
        return NeighbourhoodModule(self, inputs[-1].channels, PatchwiseWeights)
