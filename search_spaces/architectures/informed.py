"""Backbones whose images come with further channels: positions, a mean mask, edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.base import Backbone, Feature, Pyramid
from search_spaces.blocks.coordinates import InputChannels
from search_spaces.build import Shape
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn


class Informed(Backbone):
    """A backbone that sees, beside the image, where each pixel lies, what is likely there, or where the image changes.

    Args:
        backbone: What is given the image and the further channels.
        inputs: Which channels they are.

    Paper: Shen et al., 2016, Automatic portrait segmentation for image stylization, section 3 (PortraitFCN+);
        Liu et al., 2018, arXiv 1807.03247.
    Deviation: Coordinates are those of the image, and not of a face that was found in it.
    """

    kind: Literal["informed"] = "informed"
    backbone: Hole[Backbone] = Resnet()
    inputs: Hole[InputChannels] = InputChannels()

    def pyramid(self) -> Pyramid:
        """Returns the features of the backbone."""
        return self.backbone.pyramid()

    def check_size(self, image_size: Shape) -> None:
        """Refuses images that the backbone refuses."""
        try:
            self.backbone.check_size(image_size)
        except SpecError as error:
            raise error.at("backbone") from None

    def seen(self, channels: int) -> int:
        """Returns the channels that the backbone sees for images of `channels` channels."""
        return self.inputs.outputs((Feature(channels, 1),))[0].channels

    def build_features(self, channels: int) -> nn.Module:
        """Returns the module from images (N, channels, H, W) to the tuple of maps."""
        from search_spaces.networks.informed import InformedNetwork

        inputs = self.inputs.build((Feature(channels, 1),))
        return InformedNetwork(inputs, self.backbone.build_features(self.seen(channels)))

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.informed import InformedNetwork

        channels, *size = input_shape
        inputs = self.inputs.build((Feature(channels, 1),))
        return InformedNetwork(inputs, self.backbone.build((self.seen(channels), *size), outputs))
