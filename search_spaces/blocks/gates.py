"""Gates: maps that are weighed by what another map says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from search_spaces.blocks.attention import Size
from search_spaces.blocks.base import Gate
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn


class AttentionGate(Gate):
    """Each position times one weight in (0, 1), derived from the sum of linear functions of the map and of its guide.

    The weights have the guide's resolution; the map is averaged down to it, and the weights are resized.

    Args:
        reduction: Channels of the map over those of the sum; at least one is left. Range worth searching: 1 to 4.

    Paper: Oktay et al., 2018, arXiv 1804.03999, equations 1 and 2.
    Deviation: The map is averaged, not read by a convolution of stride 2, so that guides of any size will do.
    """

    kind: Literal["attention_gate"] = "attention_gate"
    reduction: Hole[Size] = 2

    def build(self, channels: int, guide: int) -> nn.Module:
        """Returns the module for a map of `channels` channels and a guide of `guide` channels."""
        from search_spaces.networks.gates import AttentionGateModule

        return AttentionGateModule(self, channels, guide)


class ThunderSam(Gate):
    """Each value times a weight in (0, 1), from a 1x1 convolution with batch norm of what proposes regions.

    Paper: Qin et al., 2019, arXiv 1903.11752, section 3.2 (spatial attention module), equation 2.
    """

    kind: Literal["thunder_sam"] = "thunder_sam"

    def build(self, channels: int, guide: int) -> nn.Module:
        """Returns the module for a map of `channels` channels and a guide of `guide` channels."""
        from search_spaces.networks.gates import ThunderSamModule

        return ThunderSamModule(channels, guide)
