"""Fusions in which a coarse map decides what is taken from a fine one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from search_spaces.blocks.base import Feature, Pyramid, at_least
from search_spaces.blocks.fusion import Fusion
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn


class GlobalAttentionUpsample(Fusion):
    """A coarse map, resized, plus a 3x3 convolution of the fine one, weighed a channel by the coarse map's average.

    More than two maps are joined from the coarsest on, one by one.

    Args:
        activation: Of the weights: `relu`, as in the paper, or `sigmoid`.

    Paper: Li et al., 2018, arXiv 1805.10180, section 3.2.
    """

    kind: Literal["gau"] = "gau"
    activation: Hole[Literal["relu", "sigmoid"]] = "relu"

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map of the finest one's stride with the channels of the coarsest.

        Raises:
            SpecError: There are fewer than two maps.
        """
        at_least(inputs, 2, "global attention upsample")
        return (Feature(inputs[-1].channels, inputs[0].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.guided import GauModule

        self.outputs(inputs)
        return GauModule(self, [feature.channels for feature in inputs])
