"""Attention to all positions at once: non-local blocks and what is left of them when all positions read the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from search_spaces.blocks.attention import Size
from search_spaces.blocks.base import Attention, Pyramid
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn


class NonLocal(Attention):
    """To each position what it reads from all positions, weighed by how they go with it; at first nothing.

    Args:
        form: How two positions are weighed. `gaussian`: the softmax of the product of their values; `embedded`: the
            same behind a 1x1 convolution each; `dot`: that product over the number of positions; `concat`: the ReLU of
            a linear function of both, over the number of positions.
        reduction: Channels over those within the block; at least one is left. Range worth searching: 2 to 8.
        subsample: Whether what is read is a map of half the height and width, by max pooling.

    Paper: Wang et al., 2017, arXiv 1711.07971, sections 3.2 and 3.3, equations 1 to 6.
    Deviation: The last convolution starts at zero and has no batch norm behind it. `gaussian` transforms what has been
        read, not what is to be read, which is the same; memory does not grow with the square of the positions.
    """

    kind: Literal["non_local"] = "non_local"
    form: Hole[Literal["gaussian", "embedded", "dot", "concat"]] = "embedded"
    reduction: Hole[Size] = 2
    subsample: Hole[bool] = False

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.non_local import NonLocalModule

        return NonLocalModule(self, inputs[-1].channels)


class SimplifiedNonLocal(Attention):
    """To every position the same: a linear function of the map's average, weighed by one learned softmax.

    Paper: Cao et al., 2019, arXiv 1904.11492, section 3.2, equation 3.
    """

    kind: Literal["simplified_non_local"] = "simplified_non_local"

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.non_local import SimplifiedModule

        return SimplifiedModule(inputs[-1].channels)


class GlobalContext(Attention):
    """The average of a map, weighed by one learned softmax, goes through two layers and is given to every position.

    Args:
        reduction: Channels over the numbers between the two layers; at least one number is left. Range worth
            searching: 4 to 16.
        fuse: `add`: it is added, at first as nothing; `scale`: its sigmoid weighs the channels.

    Paper: Cao et al., 2019, arXiv 1904.11492, section 3.4, equation 5; `scale` as in its ablations.
    """

    kind: Literal["gc"] = "gc"
    reduction: Hole[Size] = 16
    fuse: Hole[Literal["add", "scale"]] = "add"

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.non_local import GlobalContextModule

        return GlobalContextModule(self, inputs[-1].channels)
