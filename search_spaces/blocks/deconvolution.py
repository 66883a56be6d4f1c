"""Decoders that go up by transposed convolutions alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.base import Decoder, Feature, Pyramid
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]


class GroupedDeconvolution(Decoder):
    """Doublings of the coarsest map by grouped 4x4 transposed convolutions, each followed by a 1x1 one.

    A transposed convolution has as many groups as divide both of its channels.

    Args:
        stages: Number of doublings; range worth searching: 2 to 3.
        width: Channels of the output and between the doublings.

    Paper: Zhang et al., 2019, arXiv 1911.10346, section 3.1.
    """

    kind: Literal["grouped_deconvolution"] = "grouped_deconvolution"
    stages: Hole[Size] = 2
    width: Hole[Size] = 256

    def level(self, inputs: Pyramid) -> int:
        """Returns the index of the map whose size the output has.

        Raises:
            SpecError: No map has the stride that the doublings lead to.
        """
        wanted = inputs[-1].stride / 2**self.stages
        for i, feature in enumerate(inputs):
            if feature.stride == wanted:
                return i
        allowed = "doublings from the coarsest map to another one of the pyramid"
        raise SpecError("no map has the stride that the doublings lead to", self.stages, allowed, "stages")

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map of `width` channels."""
        return (Feature(self.width, inputs[self.level(inputs)].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.deconvolution import GroupedDeconvolutionModule

        return GroupedDeconvolutionModule(self, inputs[-1].channels, self.level(inputs))
