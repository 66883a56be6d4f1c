"""Self-attention over the positions of a map: several heads, and the encoder layers that are built of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.attention import Size, must_divide
from search_spaces.blocks.base import Attention, Pyramid
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Rate = Annotated[float, Field(ge=0, lt=1)]
Position = Literal["none", "sin", "learned"]


def check_channels(channels: int, heads: int, position: Position) -> None:
    """Refuses heads and positions that do not suit the channels of a map.

    Args:
        channels: Channels of the map.
        heads: Groups of channels that attend by themselves.
        position: How positions are made known.

    Raises:
        SpecError: The heads do not divide the channels, or these are no multiple of 4 for sines and cosines.
    """
    must_divide(heads, channels, "heads divide the channels of the map", "heads")
    if position == "sin" and channels % 4:
        rule = f"rows and columns as sines and cosines take a multiple of 4 channels, the map has {channels}"
        raise SpecError(rule, position, "none, learned", "position")


class SelfAttention(Attention):
    """To each position what several heads read from all positions, each by scaled dot products.

    Args:
        heads: Groups of channels that attend by themselves; they divide the channels. Range worth searching: 1 to 8.
        position: What is added to the map before it is read. `sin`: sines and cosines, half of the channels for rows,
            half for columns, which takes a multiple of 4; `learned`: 16 x 16 vectors, resized to the map; `none`:
            nothing.

    Paper: Vaswani et al., 2017, arXiv 1706.03762, section 3.2, equation 1; positions: section 3.5.
    """

    kind: Literal["self_attention"] = "self_attention"
    heads: Hole[Size] = 8
    position: Hole[Position] = "sin"

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns the coarsest map as it is.

        Raises:
            SpecError: Heads or positions do not suit its channels.
        """
        check_channels(inputs[-1].channels, self.heads, self.position)
        return inputs[-1:]

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.self_attention import SelfAttentionModule

        self.outputs(inputs)
        return SelfAttentionModule(self, inputs[-1].channels)


class Transformer(Attention):
    """The layers of a transformer's encoder: attention of all positions to all, then two linear layers at each.

    Args:
        layers: Number of layers. Range worth searching: 1 to 6.
        heads: Groups of channels that attend by themselves; they divide the channels. Range worth searching: 1 to 8.
        expansion: Numbers between the two linear layers over channels.
        norm: Layer norm behind each sum (`post`, as in the paper) or in front of what is added (`pre`).
        dropout: Rate of what is added, and of the map with its positions.
        position: As in `SelfAttention`; added once, in front of the first layer.

    Paper: Vaswani et al., 2017, arXiv 1706.03762, sections 3.1, 3.3 and 5.4; `pre`: Xiong et al., 2020,
        arXiv 2002.04745.
    """

    kind: Literal["transformer"] = "transformer"
    layers: Hole[Size] = 1
    heads: Hole[Size] = 8
    expansion: Hole[Size] = 4
    norm: Hole[Literal["pre", "post"]] = "post"
    dropout: Hole[Rate] = 0.1
    position: Hole[Position] = "sin"

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns the coarsest map as it is.

        Raises:
            SpecError: Heads or positions do not suit its channels.
        """
        check_channels(inputs[-1].channels, self.heads, self.position)
        return inputs[-1:]

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.self_attention import TransformerModule

        self.outputs(inputs)
        return TransformerModule(self, inputs[-1].channels)
