"""Heads of segmentation: from one map to a number for each class at each position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.blocks.base import Block, Example, Feature, Form
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]


class SegmentationHead(Block):
    """From one map to a number for each class at each position."""

    takes: ClassVar[Form] = "map"
    gives: ClassVar[Form] = "map"

    def build(self, channels: int, outputs: int) -> nn.Module:
        """Returns the module from maps (N, channels, H, W) to maps (N, outputs, H, W)."""
        raise NotImplementedError

    def example(self, channels: int = 64) -> Example | None:
        """Returns the head on a map of stride 4, for ten classes."""
        return Example(lambda: self.build(channels, 10), (Feature(channels, 4),), (Feature(10, 4),))


class Head1x1(SegmentationHead):
    """One 1x1 convolution.

    Paper: Long et al., 2014, arXiv 1411.4038, section 4.1.
    """

    kind: Literal["1x1"] = "1x1"

    def build(self, channels: int, outputs: int) -> nn.Module:
        """Returns the convolution."""
        from torch import nn

        return nn.Conv2d(channels, outputs, 1)


class Head3x3(SegmentationHead):
    """One 3x3 convolution.

    Paper: Badrinarayanan et al., 2015, arXiv 1511.00561, section 3 (the last layer of the decoder classifies).
    """

    kind: Literal["3x3"] = "3x3"

    def build(self, channels: int, outputs: int) -> nn.Module:
        """Returns the convolution."""
        from torch import nn

        return nn.Conv2d(channels, outputs, 3, padding=1)


class Head3x3Then1x1(SegmentationHead):
    """A 3x3 convolution with batch norm and ReLU, then a 1x1 one.

    Args:
        hidden: Channels between the two.

    Paper: Zhao et al., 2017, arXiv 1612.01105, as the authors' code has it.
    """

    kind: Literal["3x3+1x1"] = "3x3+1x1"
    hidden: Hole[Size] = 64

    def build(self, channels: int, outputs: int) -> nn.Module:
        """Returns the two convolutions."""
        from torch import nn

        from search_spaces.networks.convolution import conv_norm

        return nn.Sequential(conv_norm(channels, self.hidden, 3), nn.Conv2d(self.hidden, outputs, 1))
