"""Decoders whose maps read many earlier ones: nested, fully dense, iteratively aggregated, dense blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.base import Decoder, Feature, Pyramid, at_least
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class UnetPlusPlus(Decoder):
    """Nested skips: node (i, j) reads all earlier nodes of its level i and node (i + 1, j - 1), resized.

    Node (i, 0) is map i of the backbone; the output is the last node of the finest level. A trained decoder is pruned
    by giving it a smaller `depth`: the weights that remain keep their names, and the output is what the node (0, depth)
    was.

    Args:
        width: Channels of the nodes of the finest level; each coarser level has twice as many.
        depth: Levels above the finest, 2 to 4 worth searching; coarser maps are not read. None: all.
        supervision: Whether the other nodes of the finest level are given for auxiliary heads.

    Paper: Zhou et al., 2019, arXiv 1912.05074, sections III-B to III-D.
    Deviation: The encoder is any backbone; the output is that of the last node, not the average over all of the level.
    """

    kind: Literal["unetplusplus"] = "unetplusplus"
    width: Hole[Size] = 64
    depth: Hole[Size | None] = None
    supervision: Hole[bool] = True

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map of `width` channels at the finest stride."""
        at_least(inputs, 2, "a unetplusplus decoder")
        if self.depth is not None and self.depth >= len(inputs):
            rule = "every level above the finest is a map"
            raise SpecError(rule, self.depth, f"1 to {len(inputs) - 1}, or null for all", "depth")
        return (Feature(self.width, inputs[0].stride),)

    def supervised(self, inputs: Pyramid) -> Pyramid:
        """Returns the nodes of the finest level but the last."""
        nodes = (self.depth or len(inputs) - 1) - 1
        return (Feature(self.width, inputs[0].stride),) * nodes if self.supervision else ()

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.decoders_dense import UnetPlusPlusModule

        self.outputs(inputs)
        return UnetPlusPlusModule(self, inputs)


class FullyDense(Decoder):
    """Each stage, the coarsest first, reads all maps of the backbone and all earlier stages, reduced and resized.

    Args:
        compress: Channels that each map is reduced to, by a 1x1 convolution of its own in every stage.
        width: Channels of every stage.
        supervision: Whether the stages before the last are given for auxiliary heads.

    Paper: Zhen et al., 2019, arXiv 1905.08929, sections 3.1 and 3.2.
    Deviation: The paper compresses and resizes maps in two steps where they lie far apart; here it is one.
    """

    kind: Literal["fdnet"] = "fdnet"
    compress: Hole[Size] = 32
    width: Hole[Size] = 64
    supervision: Hole[bool] = True

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map of `width` channels at the finest stride."""
        at_least(inputs, 2, "an fdnet decoder")
        return (Feature(self.width, inputs[0].stride),)

    def supervised(self, inputs: Pyramid) -> Pyramid:
        """Returns the stages before the last."""
        return tuple(Feature(self.width, feature.stride) for feature in inputs[1:-1]) if self.supervision else ()

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.decoders_dense import FullyDenseModule

        self.outputs(inputs)
        return FullyDenseModule(self, inputs)


class Dla(Decoder):
    """Iterative deep aggregation: neighbours are joined over and over, each time from one level finer on.

    A node joins a map and the resized next coarser one, both of the width of the finer level, by a 3x3 convolution
    with batch norm and ReLU.

    Args:
        width: Channels at the finest level; each coarser level has twice as many.
        residual: Whether a node adds the coarser map in front of its ReLU.

    Paper: Yu et al., 2017, arXiv 1707.06484, sections 3.1 and 4.2; node: equation 3.
    Deviation: Resized bilinearly, where the paper learns the interpolation.
    """

    kind: Literal["dla"] = "dla"
    width: Hole[Size] = 64
    residual: Hole[bool] = False

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map of `width` channels at the finest stride."""
        at_least(inputs, 2, "a dla decoder")
        return (Feature(self.width, inputs[0].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.decoders_dense import DlaModule

        self.outputs(inputs)
        return DlaModule(self, inputs)


class Tiramisu(Decoder):
    """Dense blocks on the way up: each reads the backbone's map and what the block below has added, resized.

    A layer of a dense block reads all that lies before it in its block and adds `growth` channels.

    Args:
        growth: Channels that a layer adds; range worth searching: 12 to 16.
        layers: Layers of each block; range worth searching: 4 to 12.
        dropout: Rate behind every layer.

    Paper: Jégou et al., 2016, arXiv 1611.09326, sections 3.2 and 3.3.
    Deviation: The encoder is any backbone; every block has as many layers.
    """

    kind: Literal["tiramisu"] = "tiramisu"
    growth: Hole[Size] = 16
    layers: Hole[Size] = 4
    dropout: Hole[Rate] = 0.2

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns the finest map, what came from below and what the last block adds, at the finest stride."""
        at_least(inputs, 2, "a tiramisu decoder")
        return (Feature(inputs[0].channels + 2 * self.growth * self.layers, inputs[0].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.decoders_dense import TiramisuModule

        self.outputs(inputs)
        return TiramisuModule(self, inputs)
