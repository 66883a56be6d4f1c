"""Fusions: how several maps of different sizes become one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from search_spaces.blocks.base import Example, Feature, FeatureBlock, Form, Pyramid
from search_spaces.errors import SpecError

if TYPE_CHECKING:
    from torch import nn


class Fusion(FeatureBlock):
    """Maps, the finest first, to one of the size of the first; the module resizes the others to it."""

    takes: ClassVar[Form] = "pyramid"
    gives: ClassVar[Form] = "map"

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map with the channels of the first.

        Raises:
            SpecError: The maps have different channels.
        """
        channels = [feature.channels for feature in inputs]
        if len(set(channels)) > 1:
            raise SpecError("fused maps have equal channels", channels, "concat, or maps of one width")
        return inputs[:1]

    def example(self, channels: int = 64) -> Example | None:
        """Returns the fusion of two maps of strides 8 and 16."""
        inputs = (Feature(channels, 8), Feature(channels, 16))
        return Example(lambda: self.build(inputs), inputs, self.outputs(inputs))


class Add(Fusion):
    """The sum of the maps.

    Paper: He et al., 2016, arXiv 1512.03385; between scales: Lin et al., 2017, arXiv 1612.03144, section 3.
    """

    kind: Literal["add"] = "add"

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module; it has no weights."""
        from search_spaces.networks.fusion import AddModule

        self.outputs(inputs)
        return AddModule()


class Concat(Fusion):
    """The maps side by side: as many channels as they have together.

    Paper: Ronneberger et al., 2015, arXiv 1505.04597, section 2.
    """

    kind: Literal["concat"] = "concat"

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map with the channels of all."""
        return (Feature(sum(feature.channels for feature in inputs), inputs[0].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module; it has no weights."""
        from search_spaces.networks.fusion import ConcatModule

        return ConcatModule()
