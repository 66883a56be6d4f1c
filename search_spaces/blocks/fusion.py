"""Fusions: how several maps of different sizes become one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.blocks.base import Example, Feature, FeatureBlock, Form, Pyramid
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]


class Fusion(FeatureBlock):
    """Maps, the finest first, to one of the size of the first; the module resizes the others to it."""

    takes: ClassVar[Form] = "pyramid"
    gives: ClassVar[Form] = "map"

    @property
    def aligns(self) -> bool:
        """Whether the maps may have different channels; by default they may not."""
        return False

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map with the channels of the first.

        Raises:
            SpecError: The maps have different channels.
        """
        channels = [feature.channels for feature in inputs]
        if not self.aligns and len(set(channels)) > 1:
            allowed = "concat, a fusion with align, or maps of one width"
            raise SpecError("fused maps have equal channels", channels, allowed)
        return inputs[:1]

    def example(self, channels: int = 64) -> Example | None:
        """Returns the fusion of two maps of strides 8 and 16."""
        inputs = (Feature(channels, 8), Feature(channels, 16))
        return Example(lambda: self.build(inputs), inputs, self.outputs(inputs))


class Add(Fusion):
    """The sum of the maps.

    Args:
        align: Whether maps with other channels than the first go through a 1x1 convolution to as many; otherwise they
            are refused.

    Paper: He et al., 2016, arXiv 1512.03385; between scales: Lin et al., 2017, arXiv 1612.03144, section 3.
    """

    kind: Literal["add"] = "add"
    align: Hole[bool] = False

    @property
    def aligns(self) -> bool:
        """Whether the maps may have different channels."""
        return self.align

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module; without alignment it has no weights."""
        from search_spaces.networks.fusion import AddModule

        self.outputs(inputs)
        return AddModule(tuple(feature.channels for feature in inputs))


class WeightedAdd(Fusion):
    """The sum of the maps, each times a learned number; the mean of the maps at the start.

    Args:
        normalizer: What becomes of the numbers: `none`; `softmax`: they sum to 1; `fast`: what is above 0 of each over
            what is above 0 of all.
        align: As in `add`.

    Paper: Xie & Tu, 2015, arXiv 1504.06375, section 2.2 (`none`); Tan et al., 2019, arXiv 1911.09070, section 3.3.
    """

    kind: Literal["weighted_add"] = "weighted_add"
    normalizer: Hole[Literal["none", "softmax", "fast"]] = "softmax"
    align: Hole[bool] = False

    @property
    def aligns(self) -> bool:
        """Whether the maps may have different channels."""
        return self.align

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.fusion import WeightedAddModule

        self.outputs(inputs)
        return WeightedAddModule(self, tuple(feature.channels for feature in inputs))


class Product(Fusion):
    """The product of the maps, number by number.

    Paper: Tang et al., 2018, arXiv 1803.07737, section 3.1 (the low-level feature pyramid).
    """

    kind: Literal["product"] = "product"

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module; it has no weights."""
        from search_spaces.networks.fusion import ProductModule

        self.outputs(inputs)
        return ProductModule()


class Concat(Fusion):
    """The maps side by side: as many channels as they have together.

    Args:
        width: Channels that a 1x1 convolution with batch norm and ReLU then reduces them to; None: no convolution.

    Paper: Ronneberger et al., 2015, arXiv 1505.04597, section 2.
    """

    kind: Literal["concat"] = "concat"
    width: Hole[Size | None] = None

    @property
    def aligns(self) -> bool:
        """Whether the maps may have different channels: yes."""
        return True

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map with the channels of all, or `width`."""
        return (Feature(self.width or sum(feature.channels for feature in inputs), inputs[0].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module; without `width` it has no weights."""
        from search_spaces.networks.fusion import ConcatModule

        return ConcatModule(sum(feature.channels for feature in inputs), self.width)


class CascadeFusion(Fusion):
    """The finest map through a 1x1, the others, resized, through a dilated 3x3 convolution; batch norms, sum, ReLU.

    Args:
        width: Channels that come out; None: those of the finest map.
        dilation: Distance of the taps of the 3x3 convolution.

    Paper: Zhao et al., 2017, arXiv 1704.08545, section 4.2 (two maps, 128 channels, dilation 2).
    Deviation: Any number of maps; the guidance of the coarser one is that of the decoder around it.
    """

    kind: Literal["cff"] = "cff"
    width: Hole[Size | None] = None
    dilation: Hole[Size] = 2

    @property
    def aligns(self) -> bool:
        """Whether the maps may have different channels: yes."""
        return True

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map of `width` channels."""
        return (Feature(self.width or inputs[0].channels, inputs[0].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.fusion import CascadeModule

        return CascadeModule(self, tuple(feature.channels for feature in inputs))


def fused(fusion: Fusion, inputs: Pyramid, path: str) -> Feature:
    """Returns what a fusion makes of maps.

    Args:
        fusion: Any.
        inputs: Channels and strides of the maps, from the finest to the coarsest.
        path: The field that holds the fusion.

    Raises:
        SpecError: The fusion cannot take them; `path` stands before its path.
    """
    try:
        return fusion.outputs(inputs)[0]
    except SpecError as error:
        raise error.at(path) from None
