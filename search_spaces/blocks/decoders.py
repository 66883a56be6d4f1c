"""Decoders of segmentation: from the maps of a backbone, level by level, to one fine map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field

from search_spaces.blocks.base import Decoder, Feature, Gate, Pyramid, at_least
from search_spaces.blocks.fusion import Add, Concat, Fusion, fused
from search_spaces.blocks.necks import Fpn
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
        low_width: Channels that the fine map is reduced to; range worth searching: 24 to 64.
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
        fusion: How the pyramid joins each lateral with the map above, as in `fpn`.
        gate: What weighs each lateral by the map above, as in `fpn`.
        merge: How the maps of the finest stride are merged; where they have other channels than `width` then, a 1x1
            convolution follows. With `weighted_add` and a head of 1x1, the prediction is the weighed mean of those of
            all levels.

    Paper: Kirillov et al., 2019, arXiv 1901.02446, section 3.
    """

    kind: Literal["panoptic_fpn"] = "panoptic_fpn"
    pyramid_width: Hole[Size] = 256
    width: Hole[Size] = 128
    fusion: Hole[Fusion] = Add()
    gate: Hole[Gate | None] = None
    merge: Hole[Fusion] = Add()

    def neck(self) -> Fpn:
        """Returns the pyramid."""
        return Fpn(width=self.pyramid_width, fusion=self.fusion, gate=self.gate)

    def merged(self, inputs: Pyramid) -> tuple[Pyramid, int]:
        """Returns the maps that are merged, and the channels that they become.

        Raises:
            SpecError: They cannot be merged.
        """
        branches = (Feature(self.width, inputs[0].stride),) * len(inputs)
        return branches, fused(self.merge, branches, "merge").channels

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map of `width` channels at the finest stride."""
        at_least(inputs, 1, "a panoptic_fpn decoder")
        self.neck().outputs(inputs)
        self.merged(inputs)
        return (Feature(self.width, inputs[0].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.decoders import PanopticFpnModule

        return PanopticFpnModule(self, inputs)


class UnetPlan(NamedTuple):
    """What a level of a `Unet` becomes.

    Args:
        below: The map that comes from the coarser level.
        skip: The backbone's map.
        pair: What becomes of backbone's map and the one from below before they are joined.
        joined: What they become together.
        width: Channels of the level.
    """

    below: Feature
    skip: Feature
    pair: Pyramid
    joined: Feature
    width: int


class Unet(Decoder):
    """From the coarsest map up, level by level: resize, join with the backbone's map, two 3x3 convolutions.

    Args:
        width: Channels at the finest level; each coarser level has twice as many.
        upsample: `bilinear`, or `deconv`: a transposed convolution as large as its step.
        skip: How the backbone's map and the resized one are joined. A fusion that takes different channels, such as
            `concat`, gets the maps as they are; any other, such as `add`, behind 1x1 convolutions to the channels of
            the level.
        gate: What weighs the backbone's map by the one from below before they are joined; None: nothing.

    Paper: Ronneberger et al., 2015, arXiv 1505.04597, section 2. Gates: Oktay et al., 2018, arXiv 1804.03999,
        section 2.2.
    Deviation: Convolutions are padded and batch-normalised; the encoder is any backbone.
    """

    kind: Literal["unet"] = "unet"
    width: Hole[Size] = 64
    upsample: Hole[Literal["bilinear", "deconv"]] = "bilinear"
    skip: Hole[Fusion] = Concat()
    gate: Hole[Gate | None] = None

    def levels(self, inputs: Pyramid) -> tuple[UnetPlan, ...]:
        """Returns what each level becomes, the coarsest first.

        Raises:
            SpecError: The fusion cannot take the maps.
        """
        found, below = [], inputs[-1]
        for i, skip in reversed(list(enumerate(inputs[:-1]))):
            level = Feature(self.width * 2**i, skip.stride)
            risen = level if self.upsample == "deconv" else Feature(below.channels, skip.stride)
            pair = (skip, risen) if self.skip.aligns else (level, level)
            found.append(UnetPlan(below, skip, pair, fused(self.skip, pair, "skip"), level.channels))
            below = level
        return tuple(found)

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map of `width` channels at the finest stride."""
        at_least(inputs, 2, "a unet decoder")
        self.levels(inputs)
        return (Feature(self.width, inputs[0].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.decoders import UnetModule

        return UnetModule(self, inputs)


class TopDown(Decoder):
    """All maps reduced to one width by 1x1 convolutions; from the coarsest down, each is fused with what came before.

    With `gau` this is the decoder of the pyramid attention network, with `cff` that of ICNet, with `add` the skips of
    the fully convolutional network.

    Args:
        width: Channels of all maps; range worth searching: 32 to 256.
        fusion: How a map and the coarser one become one; where that has other channels than `width`, a 3x3 convolution
            follows.
        gate: What weighs each map by the coarser one before they are fused; None: nothing.
        supervision: Whether the coarser map of each fusion is given for an auxiliary head.

    Paper: Li et al., 2018, arXiv 1805.10180, section 3.2; Zhao et al., 2017, arXiv 1704.08545, sections 4.2 and 4.3;
        Long et al., 2014, arXiv 1411.4038, section 4.2.
    """

    kind: Literal["top_down"] = "top_down"
    width: Hole[Size] = 128
    fusion: Hole[Fusion] = Add()
    gate: Hole[Gate | None] = None
    supervision: Hole[bool] = False

    def joints(self, inputs: Pyramid) -> tuple[tuple[Pyramid, int], ...]:
        """Returns the maps that are fused, from the finest, each pair with the channels that it becomes.

        Raises:
            SpecError: The fusion cannot take them.
        """
        maps = [Feature(self.width, feature.stride) for feature in inputs]
        pairs = zip(maps, maps[1:], strict=False)
        return tuple((pair, fused(self.fusion, pair, "fusion").channels) for pair in pairs)

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map of `width` channels at the finest stride."""
        at_least(inputs, 2, "a top_down decoder")
        self.joints(inputs)
        return (Feature(self.width, inputs[0].stride),)

    def supervised(self, inputs: Pyramid) -> Pyramid:
        """Returns the coarser map of each fusion."""
        return tuple(Feature(self.width, feature.stride) for feature in inputs[1:]) if self.supervision else ()

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.decoders import TopDownModule

        return TopDownModule(self, inputs)
