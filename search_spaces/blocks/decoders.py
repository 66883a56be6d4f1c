"""Decoders of segmentation: from the maps of a backbone to one fine map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.base import Decoder, Feature, Pyramid, at_least
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


class DeepLabV3Plus(Decoder):
    """The coarsest map, resized, beside a fine one reduced by a 1x1 convolution; two 3x3 convolutions follow.

    Args:
        low: Index of the fine map, 0 for the finest.
        low_width: Channels that the fine map is reduced to.
        width: Channels of the output.

    Paper: Chen et al., 2018, arXiv 1802.02611, section 3.1.
    """

    kind: Literal["deeplabv3plus"] = "deeplabv3plus"
    low: Hole[Count] = 0
    low_width: Hole[Size] = 48
    width: Hole[Size] = 256

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map of `width` channels at the stride of the fine map."""
        at_least(inputs, 2, "a deeplabv3plus decoder")
        if self.low > len(inputs) - 2:
            allowed = f"0 to {len(inputs) - 2}"
            raise SpecError("the fine map lies before the coarsest one", self.low, allowed, "low")
        return (Feature(self.width, inputs[self.low].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.decoders import DeepLabModule

        return DeepLabModule(self, inputs)


class PanopticFpn(Decoder):
    """A feature pyramid whose maps are brought to the finest stride by 3x3 convolutions and doublings, then merged.

    Args:
        pyramid_width: Channels of the pyramid.
        width: Channels of the output.
        fusion: How the pyramid joins each map with the one above: `add` or `concat`.
        merge: How the maps of the finest stride are merged: their sum, or side by side and reduced by 1x1.

    Paper: Kirillov et al., 2019, arXiv 1901.02446, section 3.
    """

    kind: Literal["panoptic_fpn"] = "panoptic_fpn"
    pyramid_width: Hole[Size] = 256
    width: Hole[Size] = 128
    fusion: Hole[Literal["add", "concat"]] = "add"
    merge: Hole[Literal["add", "concat"]] = "add"

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map of `width` channels at the finest stride."""
        at_least(inputs, 1, "a panoptic_fpn decoder")
        return (Feature(self.width, inputs[0].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.decoders import PanopticFpnModule

        return PanopticFpnModule(self, inputs)


class Unet(Decoder):
    """From the coarsest map up, level by level: resize, join with the backbone's map, two 3x3 convolutions.

    Args:
        width: Channels at the finest level; each coarser level has twice as many.
        upsample: `bilinear`, or `deconv`: a transposed convolution as large as its step.
        skip: How the backbone's map is joined: `concat`, or `add` after a 1x1 convolution to the channels of the level.

    Paper: Ronneberger et al., 2015, arXiv 1505.04597, section 2.
    Deviation: Convolutions are padded and batch-normalised; the encoder is any backbone.
    """

    kind: Literal["unet"] = "unet"
    width: Hole[Size] = 64
    upsample: Hole[Literal["bilinear", "deconv"]] = "bilinear"
    skip: Hole[Literal["concat", "add"]] = "concat"

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map of `width` channels at the finest stride."""
        at_least(inputs, 2, "a unet decoder")
        return (Feature(self.width, inputs[0].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.decoders import UnetModule

        return UnetModule(self, inputs)
