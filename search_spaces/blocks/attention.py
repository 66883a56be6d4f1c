"""Attention to channels: maps whose channels are weighed by what the whole map holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.base import Attention, Pyramid
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]


class SqueezeExcitation(Attention):
    """Each channel times a weight in (0, 1) that two linear layers derive from the averages of all channels.

    Args:
        reduction: Channels over the numbers between the two layers; at least one number is left.

    Paper: Hu et al., 2017, arXiv 1709.01507, section 3.
    """

    kind: Literal["se"] = "se"
    reduction: Hole[Size] = 16

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.attention import SqueezeExcitationModule

        return SqueezeExcitationModule(self, inputs[-1].channels)
