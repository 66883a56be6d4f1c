"""Global pooling: from maps to one vector, and from there to classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from search_spaces.blocks.base import Block, Example, Feature, Form, Pyramid
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn


class GlobalPooling(Block):
    """The maps of a backbone, the finest first, to one vector (N, C) whatever their size."""

    takes: ClassVar[Form] = "pyramid"
    gives: ClassVar[Form] = "vector"

    def features(self, inputs: Pyramid) -> int:
        """Returns the length C of the vector.

        Raises:
            SpecError: The pooling cannot take these maps.
        """
        raise NotImplementedError

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        raise NotImplementedError

    def example(self, channels: int = 64) -> Example | None:
        """Returns the pooling of three maps of strides 8 to 32; a vector counts as a map of one position."""
        inputs = tuple(Feature(channels, stride) for stride in (8, 16, 32))
        return Example(lambda: self.build(inputs), inputs, (Feature(self.features(inputs), 1),))


class GlobalAverage(GlobalPooling):
    """The average of the coarsest map over its positions.

    Paper: Lin et al., 2013, arXiv 1312.4400, section 3.2.
    """

    kind: Literal["average"] = "average"

    def features(self, inputs: Pyramid) -> int:
        """Returns the channels of the coarsest map."""
        return inputs[-1].channels

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module; it has no weights."""
        from search_spaces.networks.pooling import AverageModule

        return AverageModule()


class Classifier(Block):
    """The maps of a backbone, the finest first, to a number for each class: (N, outputs)."""

    takes: ClassVar[Form] = "pyramid"
    gives: ClassVar[Form] = "vector"

    def check_inputs(self, inputs: Pyramid) -> None:
        """Refuses maps that the classifier cannot take; by default none.

        Raises:
            SpecError: It cannot take them.
        """

    def build(self, inputs: Pyramid, outputs: int) -> nn.Module:
        """Returns the module for maps of these channels."""
        raise NotImplementedError

    def example(self, channels: int = 64) -> Example | None:
        """Returns the classifier of three maps of strides 8 to 32, for ten classes."""
        inputs = tuple(Feature(channels, stride) for stride in (8, 16, 32))
        return Example(lambda: self.build(inputs, 10), inputs, (Feature(10, 1),))


class LinearClassifier(Classifier):
    """A pooling and a linear layer.

    Args:
        pooling: What makes one vector of the maps.

    Paper: Lin et al., 2013, arXiv 1312.4400, section 3.2.
    """

    kind: Literal["linear"] = "linear"
    pooling: Hole[GlobalPooling] = GlobalAverage()

    def check_inputs(self, inputs: Pyramid) -> None:
        """Refuses maps that the pooling cannot take."""
        self.pooling.features(inputs)

    def build(self, inputs: Pyramid, outputs: int) -> nn.Module:
        """Returns pooling and linear layer."""
        from torch import nn

        return nn.Sequential(self.pooling.build(inputs), nn.Linear(self.pooling.features(inputs), outputs))
