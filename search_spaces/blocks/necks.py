"""Necks: from the maps of a backbone to a pyramid in which coarse maps inform fine ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.base import Context, Feature, Gate, Neck, Pyramid, at_least
from search_spaces.blocks.context import Ssh
from search_spaces.blocks.fusion import Add, Fusion, fused
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


class Fpn(Neck):
    """A feature pyramid: 1x1 laterals, each joined with the map above it resized by nearest neighbour, 3x3 smoothing.

    Args:
        width: Channels of every map; range worth searching: 64 to 256.
        fusion: How a lateral is joined with the map above. Where the fused maps keep the width, as with `add`, the way
            down hands on the maps before their smoothing; otherwise, as with `concat`, after it.
        gate: What weighs each lateral by the map above before they are joined; None: nothing.
        start: Number of the coarsest maps that inform no finer one: a low-level pyramid. Such maps say little of small
            objects.
        skip: Number of the finest maps left out.
        extra: How coarser maps are added: `maxpool` takes every other value of the last map, `conv` is a 3x3
            convolution of stride 2 on it, with a ReLU in front from the second one on.
        extra_levels: Number of coarser maps added.

    Paper: Lin et al., 2017, arXiv 1612.03144, section 3. Extra levels: Lin et al., 2017, arXiv 1708.02002, section 4.
        Start: Tang et al., 2018, arXiv 1803.07737, section 3.1, which joins by `product`.
    """

    kind: Literal["fpn"] = "fpn"
    width: Hole[Size] = 256
    fusion: Hole[Fusion] = Add()
    gate: Hole[Gate | None] = None
    start: Hole[Count] = 0
    skip: Hole[Count] = 0
    extra: Hole[Literal["maxpool", "conv"]] = "conv"
    extra_levels: Hole[Count] = 0

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns maps of `width` channels: the strides of the inputs that are used, then those of the extra levels."""
        at_least(inputs, self.skip + 1, f"an fpn that leaves out {self.skip} maps")
        used = len(inputs) - self.skip
        if self.start >= used:
            rule = "the way down starts at a map that is there"
            raise SpecError(rule, self.start, f"0 to {used - 1}", "start")
        self.joints(inputs)
        strides = [feature.stride for feature in inputs[self.skip :]]
        strides += [strides[-1] * 2**i for i in range(1, self.extra_levels + 1)]
        return tuple(Feature(self.width, stride) for stride in strides)

    def joints(self, inputs: Pyramid) -> tuple[tuple[Pyramid, int], ...]:
        """Returns the maps that meet on the way down, from the finest, each with the channels that they become.

        Raises:
            SpecError: The fusion cannot take them.
        """
        laterals = [Feature(self.width, feature.stride) for feature in inputs[self.skip :]]
        pairs = list(zip(laterals, laterals[1:], strict=False))[: len(laterals) - 1 - self.start]
        return tuple((pair, fused(self.fusion, pair, "fusion").channels) for pair in pairs)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.necks import FpnModule

        return FpnModule(self, inputs)


class Cem(Neck):
    """One map: the sum of the second coarsest, the coarsest and the average of the coarsest, each brought to one width.

    Args:
        width: Channels of the map; range worth searching: 64 to 245, which is 5 * 7 * 7.

    Paper: Qin et al., 2019, arXiv 1903.11752, section 3.2 (context enhancement module).
    """

    kind: Literal["cem"] = "cem"
    width: Hole[Size] = 245

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map of `width` channels at the stride of the second coarsest map."""
        at_least(inputs, 2, "a cem neck")
        return (Feature(self.width, inputs[-2].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.necks import CemModule

        self.outputs(inputs)
        return CemModule(self, inputs)


class Levelwise(Neck):
    """Another neck, or none, and behind it a context of its own for every map.

    With `ssh` and no neck these are the detection modules of SSH; with `cpm` and a low-level `fpn` that joins by
    `product`, PyramidBox.

    Args:
        neck: What comes before the contexts; None: the maps as they are.
        context: What each map goes through, with weights of its own.

    Paper: Najibi et al., 2017, arXiv 1708.03979, section 3.1; Tang et al., 2018, arXiv 1803.07737, section 3.1.
    """

    kind: Literal["levelwise"] = "levelwise"
    neck: Hole[Neck | None] = None
    context: Hole[Context] = Ssh()

    def before(self, inputs: Pyramid) -> Pyramid:
        """Returns the maps that the contexts read.

        Raises:
            SpecError: The neck cannot take the inputs.
        """
        if self.neck is None:
            return inputs
        try:
            return self.neck.outputs(inputs)
        except SpecError as error:
            raise error.at("neck") from None

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns what the context makes of each map."""
        before = self.before(inputs)
        try:
            return tuple(self.context.outputs((feature,))[0] for feature in before)
        except SpecError as error:
            raise error.at("context") from None

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.necks import LevelwiseModule

        self.outputs(inputs)
        return LevelwiseModule(self, inputs)
