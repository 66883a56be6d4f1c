"""A gate with a convolution behind it: a map, weighed at each position by what another stream says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from search_spaces.blocks.base import Gate

if TYPE_CHECKING:
    from torch import nn


class GatedConv(Gate):
    """A 1x1 convolution of the map plus the map times a weight in (0, 1), which it and one map of the guide decide.

    Worth searching: gates after stages 3, 4, 5.

    Paper: Takikawa et al., 2019, arXiv 1907.05740, section 3.1, equations 1 and 2 (Gated-SCNN).
    """

    kind: Literal["gated_conv"] = "gated_conv"

    def build(self, channels: int, guide: int) -> nn.Module:
        """Returns the module for a map of `channels` channels and a guide of `guide` channels."""
        from search_spaces.networks.gated_conv import GatedConvModule

        return GatedConvModule(channels, guide)
