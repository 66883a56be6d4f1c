"""Backbones around a backbone: it looks at the image in several sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.base import Backbone, Feature, Pyramid
from search_spaces.build import Shape
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Scale = Annotated[float, Field(gt=0, le=1)]


class ImageCascade(Backbone):
    """A light backbone that sees the image in several sizes; of each size comes its coarsest map.

    With a decoder that fuses by `cff` this is ICNet.

    Args:
        backbone: What looks at the image; its weights are the same for all sizes.
        factors: What height and width of the image are divided by, ascending.

    Paper: Zhao et al., 2017, arXiv 1704.08545, section 4.1.
    Deviation: In the paper the smallest image goes through a deep network, that of half size through the first stages
        of it, and the whole through three convolutions of its own; here one backbone of any kind sees all of them.
    """

    kind: Literal["image_cascade"] = "image_cascade"
    backbone: Hole[Backbone] = Resnet(depths=(2, 2), widths=(64, 128))
    factors: Hole[Annotated[tuple[Size, ...], Field(min_length=1)]] = (1, 2, 4)

    def check(self) -> None:
        """Refuses factors that do not ascend."""
        if list(self.factors) != sorted(set(self.factors)):
            raise SpecError("the factors ascend", list(self.factors), "such as [1, 2, 4]", "factors")

    def pyramid(self) -> Pyramid:
        """Returns one map a factor: the backbone's coarsest, its stride times the factor."""
        coarsest = self.backbone.pyramid()[-1]
        return tuple(Feature(coarsest.channels, coarsest.stride * factor) for factor in self.factors)

    def check_size(self, image_size: Shape) -> None:
        """Refuses images that the backbone refuses in one of the sizes."""
        _check_each(self.backbone, self.sizes(image_size))

    def sizes(self, image_size: Shape) -> list[Shape]:
        """Returns height and width in which the backbone sees images of `image_size` (H, W), for each factor."""
        return [tuple(-(-size // factor) for size in image_size) for factor in self.factors]

    def build_features(self, channels: int) -> nn.Module:
        """Returns the module from images (N, channels, H, W) to a tuple of maps, one a factor."""
        from search_spaces.networks.image_pyramid import CascadeFeatures

        return CascadeFeatures(self, channels)

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.image_pyramid import PyramidClassifier

        return PyramidClassifier(self, input_shape[0], outputs)


class ScaleAttention(Backbone):
    """A backbone that sees the image in several sizes; each position takes the weighed mean of what it says there.

    The weights come from the coarsest maps of all sizes, by a 3x3 convolution and a 1x1 one, and sum to 1.

    Args:
        backbone: What looks at the image; its weights are the same for all sizes.
        scales: What height and width of the image are multiplied by, descending from 1; with 1 alone this is the
            backbone. Two or three are worth searching.
        hidden: Channels between the two convolutions.

    Paper: Chen et al., 2015, arXiv 1511.03339, section 3.2.
    Deviation: Maps are weighed, where the paper weighs the scores of a linear layer on them; all maps of the backbone
        have the same weights, resized.
    """

    kind: Literal["scale_attention"] = "scale_attention"
    backbone: Hole[Backbone] = Resnet(output_stride=16)
    scales: Hole[Annotated[tuple[Scale, ...], Field(min_length=1)]] = (1.0, 0.75, 0.5)
    hidden: Hole[Size] = 512

    def check(self) -> None:
        """Refuses scales that do not descend from 1."""
        if list(self.scales) != sorted(set(self.scales), reverse=True) or self.scales[0] != 1:
            raise SpecError("the scales descend from 1", list(self.scales), "such as [1.0, 0.75, 0.5]", "scales")

    def pyramid(self) -> Pyramid:
        """Returns the features of the backbone."""
        return self.backbone.pyramid()

    def check_size(self, image_size: Shape) -> None:
        """Refuses images that the backbone refuses in one of the sizes."""
        _check_each(self.backbone, self.sizes(image_size))

    def sizes(self, image_size: Shape) -> list[Shape]:
        """Returns height and width in which the backbone sees images of `image_size` (H, W), for each scale."""
        return [tuple(max(1, round(size * scale)) for size in image_size) for scale in self.scales]

    def build_features(self, channels: int) -> nn.Module:
        """Returns the module from images (N, channels, H, W) to the tuple of maps that `pyramid` describes."""
        from search_spaces.networks.image_pyramid import ScaleFeatures

        return ScaleFeatures(self, channels)

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.image_pyramid import PyramidClassifier

        return PyramidClassifier(self, input_shape[0], outputs)


def _check_each(backbone: Backbone, sizes: list[Shape]) -> None:
    try:
        for size in sizes:
            backbone.check_size(size)
    except SpecError as error:
        raise error.at("backbone") from None
