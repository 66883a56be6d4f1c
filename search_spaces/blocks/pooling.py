"""Global pooling: from maps to one vector, and from there to classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.blocks.base import Block, Example, Feature, Form, Pyramid
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]


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


class GlobalMax(GlobalPooling):
    """The greatest value of each channel of the coarsest map.

    Paper: Oquab et al., 2015, "Is object localization for free?", section 3.2.
    """

    kind: Literal["max"] = "max"

    def features(self, inputs: Pyramid) -> int:
        """Returns the channels of the coarsest map."""
        return inputs[-1].channels

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module; it has no weights."""
        from search_spaces.networks.pooling import MaxModule

        return MaxModule()


class GlobalAverageMax(GlobalPooling):
    """The average and the greatest value of each channel of the coarsest map, side by side.

    Paper: Woo et al., 2018, arXiv 1807.06521, section 3.1 (both are worth more than one).
    """

    kind: Literal["average_max"] = "average_max"

    def features(self, inputs: Pyramid) -> int:
        """Returns twice the channels of the coarsest map."""
        return 2 * inputs[-1].channels

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module; it has no weights."""
        from search_spaces.networks.pooling import AverageMaxModule

        return AverageMaxModule()


class BilinearPooling(GlobalPooling):
    """The sum over positions of the outer product of two streams of channels, and its length taken off.

    Args:
        second: Channels of the second stream, a 1x1 convolution of the map; None: the map itself, so that the result
            is its Gram matrix.
        normalize: Whether the signed square root is taken and the vector has length 1.

    Paper: Lin et al., 2015, arXiv 1504.07889, section 3.
    """

    kind: Literal["bilinear"] = "bilinear"
    second: Hole[Size | None] = None
    normalize: Hole[bool] = True

    def features(self, inputs: Pyramid) -> int:
        """Returns the product of the channels of both streams."""
        return inputs[-1].channels * (self.second or inputs[-1].channels)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a coarsest map of these channels."""
        from search_spaces.networks.pooling import BilinearModule

        return BilinearModule(self, inputs[-1].channels)


class Classifier(Block):
    """The maps of a backbone, the finest first, to a number for each class: (N, outputs)."""

    takes: ClassVar[Form] = "pyramid"
    gives: ClassVar[Form] = "vector"

    def check_inputs(self, inputs: Pyramid) -> None:
        """Refuses maps that the classifier cannot take; by default none.

        Raises:
            SpecError: It cannot take them.
        """

    def build(self, inputs: Pyramid, outputs: int) -> nn.Sequential:
        """Returns the layers for maps of these channels, by name."""
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

    def build(self, inputs: Pyramid, outputs: int) -> nn.Sequential:
        """Returns `avgpool`, the pooling, and `fc`."""
        from collections import OrderedDict

        from torch import nn

        fc = nn.Linear(self.pooling.features(inputs), outputs)
        return nn.Sequential(OrderedDict(avgpool=self.pooling.build(inputs), fc=fc))


class FactorisedBilinear(Classifier):
    """A pooling and, for each class, a linear term and the squared length of a low-rank projection.

    Args:
        pooling: What makes one vector of the maps.
        rank: Rows of each projection; range worth searching: 1 to 50.
        keep: Share of the rows that stay in training; the others are dropped as wholes. Range worth searching: 0.5
            to 1.

    Paper: Li et al., 2016, arXiv 1611.05709, sections 3.1 and 3.3 (rank 20, half of the factors dropped).
    """

    kind: Literal["factorised_bilinear"] = "factorised_bilinear"
    pooling: Hole[GlobalPooling] = GlobalAverage()
    rank: Hole[Size] = 20
    keep: Hole[Annotated[float, Field(gt=0, le=1)]] = 0.5

    def check_inputs(self, inputs: Pyramid) -> None:
        """Refuses maps that the pooling cannot take."""
        self.pooling.features(inputs)

    def build(self, inputs: Pyramid, outputs: int) -> nn.Sequential:
        """Returns `avgpool`, the pooling, and `bilinear`."""
        from collections import OrderedDict

        from torch import nn

        from search_spaces.networks.pooling import FactorisedBilinearModule

        layer = FactorisedBilinearModule(self, self.pooling.features(inputs), outputs)
        return nn.Sequential(OrderedDict(avgpool=self.pooling.build(inputs), bilinear=layer))


class AttentionalPooling(Classifier):
    """A map of where to look, and for each class one of what to look for: their product, summed over positions.

    Args:
        rank: Pairs of maps whose products are added; range worth searching: 1 to 4.

    Paper: Girdhar & Ramanan, 2017, arXiv 1711.01467, section 3.1, equation 4.
    Deviation: The mean over positions in place of the sum, so that scores do not grow with the image.
    """

    kind: Literal["attentional_pooling"] = "attentional_pooling"
    rank: Hole[Size] = 1

    def build(self, inputs: Pyramid, outputs: int) -> nn.Sequential:
        """Returns `attend`."""
        from collections import OrderedDict

        from torch import nn

        from search_spaces.networks.pooling import AttentionalPoolingModule

        layer = AttentionalPoolingModule(self, inputs[-1].channels, outputs)
        return nn.Sequential(OrderedDict(attend=layer))
