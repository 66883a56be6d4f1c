"""Necks: from the maps of a backbone to a pyramid in which coarse maps inform fine ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.base import Feature, Neck, Pyramid, at_least
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


class Fpn(Neck):
    """A feature pyramid: 1x1 laterals, each joined with the map above it resized by nearest neighbour, 3x3 smoothing.

    Args:
        width: Channels of every map.
        fusion: `add`: the sum with the unsmoothed map above; `concat`: the smoothing reads the lateral and the smoothed
            map above side by side, with twice the weights.
        skip: Number of the finest maps left out.
        extra: How coarser maps are added: `maxpool` takes every other value of the last map, `conv` is a 3x3
            convolution of stride 2 on it, with a ReLU in front from the second one on.
        extra_levels: Number of coarser maps added.

    Paper: Lin et al., 2017, arXiv 1612.03144, section 3. Extra levels: Lin et al., 2017, arXiv 1708.02002, section 4.
    """

    kind: Literal["fpn"] = "fpn"
    width: Hole[Size] = 256
    fusion: Hole[Literal["add", "concat"]] = "add"
    skip: Hole[Count] = 0
    extra: Hole[Literal["maxpool", "conv"]] = "conv"
    extra_levels: Hole[Count] = 0

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns maps of `width` channels: the strides of the inputs that are used, then those of the extra levels."""
        at_least(inputs, self.skip + 1, f"an fpn that leaves out {self.skip} maps")
        strides = [feature.stride for feature in inputs[self.skip :]]
        strides += [strides[-1] * 2**i for i in range(1, self.extra_levels + 1)]
        return tuple(Feature(self.width, stride) for stride in strides)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.necks import FpnModule

        return FpnModule(self, tuple(feature.channels for feature in inputs))
