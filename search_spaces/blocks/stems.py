"""Stems and reductions: what an image goes through before the first stage, and a map between two stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from search_spaces.blocks.base import Block, Example, Feature, Form
from search_spaces.blocks.normalization import BatchNorm, Norm

if TYPE_CHECKING:
    from torch import nn


class Stem(Block):
    """An image (N, C, H, W) to a map of `stride`, given as layers by name."""

    takes: ClassVar[Form] = "map"
    gives: ClassVar[Form] = "map"
    stride: ClassVar[int]

    def build(self, inputs: int, width: int, norm: Norm) -> nn.Sequential:
        """Returns the layers, from `inputs` to `width` channels; their names stand beside those of the stages."""
        raise NotImplementedError

    def example(self, channels: int = 64) -> Example | None:
        """Returns the stem of a color image."""
        given, made = (Feature(3, 1),), (Feature(channels, self.stride),)
        return Example(lambda: self.build(3, channels, BatchNorm()), given, made)


class ImagenetStem(Stem):
    """A 7x7 convolution of stride 2 and a 3x3 max pooling of stride 2.

    Paper: He et al., 2016, arXiv 1512.03385, table 1.
    """

    kind: Literal["imagenet"] = "imagenet"
    stride: ClassVar[int] = 4

    def build(self, inputs: int, width: int, norm: Norm) -> nn.Sequential:
        """Returns `conv1`, `bn1`, `relu` and `maxpool`."""
        from search_spaces.networks.stems import plain_stem

        return plain_stem(inputs, width, norm, kernel=7, stride=2, pool=True)


class StridedStem(Stem):
    """A 3x3 convolution of stride 2.

    Paper: Howard et al., 2017, arXiv 1704.04861, table 1.
    """

    kind: Literal["strided"] = "strided"
    stride: ClassVar[int] = 2

    def build(self, inputs: int, width: int, norm: Norm) -> nn.Sequential:
        """Returns `conv1`, `bn1` and `relu`."""
        from search_spaces.networks.stems import plain_stem

        return plain_stem(inputs, width, norm, kernel=3, stride=2, pool=False)


class CifarStem(Stem):
    """A 3x3 convolution of stride 1.

    Paper: He et al., 2016, arXiv 1512.03385, section 4.2.
    """

    kind: Literal["cifar"] = "cifar"
    stride: ClassVar[int] = 1

    def build(self, inputs: int, width: int, norm: Norm) -> nn.Sequential:
        """Returns `conv1`, `bn1` and `relu`."""
        from search_spaces.networks.stems import plain_stem

        return plain_stem(inputs, width, norm, kernel=3, stride=1, pool=False)


class ParallelStem(Stem):
    """A 3x3 convolution of stride 2, then a max pooling and a strided convolution side by side.

    Paper: Szegedy et al., 2016, arXiv 1602.07261, figure 3 (its first parallel step).
    """

    kind: Literal["parallel"] = "parallel"
    stride: ClassVar[int] = 4

    def build(self, inputs: int, width: int, norm: Norm) -> nn.Sequential:
        """Returns `conv1`, `bn1`, `relu`, `reduce` and, to have `width` channels, `project`."""
        from search_spaces.networks.stems import parallel_stem

        return parallel_stem(inputs, width, norm)


class Reduction(Block):
    """A map to one of twice the stride, before the first unit of a stage, which then has a stride of 1."""

    takes: ClassVar[Form] = "map"
    gives: ClassVar[Form] = "map"

    def out_channels(self, inputs: int) -> int:
        """Returns the channels that come out."""
        raise NotImplementedError

    def build(self, inputs: int, norm: Norm) -> nn.Module:
        """Returns the module for a map of `inputs` channels."""
        raise NotImplementedError

    def example(self, channels: int = 64) -> Example | None:
        """Returns the reduction from stride 4 to 8."""
        made = (Feature(self.out_channels(channels), 8),)
        return Example(lambda: self.build(channels, BatchNorm()), (Feature(channels, 4),), made)


class ParallelReduction(Reduction):
    """A max pooling, a strided 3x3 convolution, and a longer chain of convolutions, side by side: twice the channels.

    Paper: Szegedy et al., 2016, arXiv 1602.07261, figure 7 (reduction-A).
    """

    kind: Literal["parallel_reduction"] = "parallel_reduction"

    def out_channels(self, inputs: int) -> int:
        """Returns the channels of the pooling and those of both chains."""
        return inputs + 2 * max(1, inputs // 2)

    def build(self, inputs: int, norm: Norm) -> nn.Module:
        """Returns the module for a map of `inputs` channels."""
        from search_spaces.networks.stems import ParallelReductionModule

        return ParallelReductionModule(inputs, norm)
