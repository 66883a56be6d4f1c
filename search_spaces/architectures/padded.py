"""Backbones that see an image with a margin around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.base import Backbone, Pyramid
from search_spaces.build import Shape
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn


class Padded(Backbone):
    """A backbone whose image is padded, and whose maps are cut back to the image: their borders have seen a margin.

    Args:
        backbone: What is given the padded image.
        margin: Pixels on each side, a multiple of the coarsest map's stride; half of the receptive field makes a box
            at the border cover as many values as one in the middle.
        mode: `zeros`, or `reflect`: the image mirrored at its border.

    Paper: Long et al., 2014, arXiv 1411.4038, section 4.1, as the authors' code has it (padding of 100 pixels).
    Deviation: Maps are cut to the image, so that boxes and labels keep their places.
    """

    kind: Literal["padded"] = "padded"
    backbone: Hole[Backbone] = Resnet()
    margin: Hole[Annotated[int, Field(ge=0)]] = 32
    mode: Hole[Literal["zeros", "reflect"]] = "reflect"

    def check(self) -> None:
        """Refuses a margin that is no whole number of steps of every map."""
        stride = max(feature.stride for feature in self.backbone.pyramid())
        if self.margin % stride:
            raise SpecError("a margin is a multiple of the coarsest stride", self.margin, f"0, {stride}, ...", "margin")

    def pyramid(self) -> Pyramid:
        """Returns the features of the backbone."""
        return self.backbone.pyramid()

    def check_size(self, image_size: Shape) -> None:
        """Refuses images that cannot be mirrored as far as the margin goes, and those that the backbone refuses."""
        if self.mode == "reflect" and self.margin >= min(image_size):
            allowed = f"less than {min(image_size)}"
            raise SpecError("a mirrored margin is narrower than the image", self.margin, allowed, "margin")
        try:
            self.backbone.check_size(tuple(size + 2 * self.margin for size in image_size))
        except SpecError as error:
            raise error.at("backbone") from None

    def build_features(self, channels: int) -> nn.Module:
        """Returns the module from images (N, channels, H, W) to the tuple of maps."""
        from search_spaces.networks.padded import PaddedFeatures

        return PaddedFeatures(self, channels)

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.padded import PaddedClassifier

        return PaddedClassifier(self, input_shape, outputs)
