"""Changes to where things are in an image and how large; masks and boxes move along."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from search_spaces.domains import Categorical, Float, Integer
from search_spaces.recipe.augment import Augmentation, Share
from search_spaces.spec import Hole

Positive = Annotated[float, Field(gt=0)]
Detail = Annotated[float, Field(gt=0, le=1)]
DETECTION = frozenset({"detection"})
OVERLAPS: Categorical[Any] = Categorical(
    {"all": (0.0, 0.1, 0.3, 0.5, 0.7, 0.9), "loose": (0.0, 0.1, 0.3), "tight": (0.5, 0.7, 0.9)}
)
STAGES: Categorical[Any] = Categorical({"fall": (1.0, 0.5), "fall_twice": (1.0, 0.5, 0.25), "rise": (0.5, 1.0)})


class Cropping(Augmentation):
    """A window of each image at the size of the image."""


class Crop(Cropping):
    """Pads every side by `padding` of the image's side with the mean and cuts the old size out at a random place.

    Paper: He et al., Deep Residual Learning, 2016, 1512.03385, section 4.2 (4 of 32 pixels).
    """

    kind: Literal["crop"] = "crop"
    padding: Hole[Annotated[float, Field(ge=0, le=0.5), Float(0.0625, 0.25)]] = 0.125


class ResizedCrop(Cropping):
    """Scales a random window up to the image's size.

    Its area is uniform in [`smallest`, `largest`] of the image's, its width over height, both as shares of the
    image's, log-uniform in [`aspect`, 1 / `aspect`].

    Paper: Szegedy et al., Going Deeper with Convolutions, 2015, 1409.4842, section 6.
    """

    kind: Literal["resized_crop"] = "resized_crop"
    smallest: Hole[Annotated[float, Field(gt=0, le=1), Float(0.08, 0.9)]] = 0.08
    largest: Hole[Annotated[float, Field(gt=0, le=1)]] = 1.0
    aspect: Hole[Annotated[float, Field(gt=0, le=1)]] = 0.75

    def check(self) -> None:
        """Checks that the areas are in order."""
        if self.smallest > self.largest:
            raise ValueError(f"smallest must not exceed largest; got {self.smallest} and {self.largest}")


class IouCrop(Cropping):
    """Scales a random window up to the image's size that covers an object well enough.

    An image keeps its window or draws a least overlap out of `overlaps`; sides of the window are shares of at least
    `smallest` of the image's. A window counts when the centre of an object lies in it and it overlaps such an object
    by at least that much (intersection over union); objects whose centre lies outside are dropped.

    Paper: Liu et al., SSD, 2016, 1512.02325, section 2.2, data augmentation.
    """

    tasks: ClassVar[frozenset[str]] = DETECTION

    kind: Literal["iou_crop"] = "iou_crop"
    overlaps: Hole[Annotated[tuple[Share, ...], OVERLAPS]] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
    smallest: Hole[Annotated[float, Field(gt=0, le=1)]] = 0.3


class ZoomOut(Augmentation):
    """Puts an image, with probability `p`, at a random place of a canvas up to `largest` times as wide and high.

    Paper: Liu et al., SSD, 2016, 1512.02325, section 3.6 (small objects).
    """

    tasks: ClassVar[frozenset[str]] = DETECTION

    kind: Literal["zoom_out"] = "zoom_out"
    p: Hole[Share] = 0.5
    largest: Hole[Annotated[float, Field(ge=1), Float(1.0, 4.0)]] = 4.0


class Flip(Augmentation):
    """Mirrors left and right with probability `p`.

    Paper: Krizhevsky et al., ImageNet Classification with Deep CNNs, 2012, section 4.1.
    """

    kind: Literal["flip"] = "flip"
    p: Hole[Share] = 0.5


class Rotation(Augmentation):
    """Turns an image about its centre by an angle uniform in [-`degrees`, `degrees`], counterclockwise.

    Paper: Simard et al., Best Practices for Convolutional Neural Networks, 2003, section 2.
    """

    kind: Literal["rotation"] = "rotation"
    degrees: Hole[Annotated[float, Field(ge=0, le=180), Float(0.0, 45.0)]] = 15.0


class CopyPaste(Augmentation):
    """Pastes a small object of an image `copies` times where nothing is, scaled and turned a little.

    Small is an object whose box has a side (the root of its area) below `small` of the image's. Copies are cut out by
    the masks of the objects, and as rectangles where the data have none.

    Paper: Kisantal et al., Augmentation for small object detection, 2019, 1902.07296, section 4.2.
    """

    tasks: ClassVar[frozenset[str]] = DETECTION

    kind: Literal["copy_paste"] = "copy_paste"
    copies: Hole[Annotated[int, Field(ge=1), Integer(1, 5)]] = 3
    small: Hole[Annotated[Share, Float(0.1, 0.4)]] = 0.25
    scale: Hole[Annotated[float, Field(ge=0, lt=1)]] = 0.2
    degrees: Hole[Annotated[float, Field(ge=0, le=180)]] = 15.0


class Resizing(Augmentation):
    """The size, or the detail, of whole batches."""


class MultiScale(Resizing):
    """Scales batches to a new size every `every` batches.

    Sizes are the multiples of `multiple` pixels from `smallest` to `largest` times the image's side (at 416 pixels the
    ten sizes 320, 352, ... 608); `multiple` is halved until two sizes fit.

    Paper: Zhang et al., Bag of Freebies for Training Object Detection, 2019, 1902.04103, section 3.6.
    """

    kind: Literal["multi_scale"] = "multi_scale"
    smallest: Hole[Annotated[Positive, Float(0.75, 1.0)]] = 0.75
    largest: Hole[Annotated[Positive, Float(1.0, 1.5)]] = 1.5
    multiple: Hole[Annotated[int, Field(ge=1)]] = 32
    every: Hole[Annotated[int, Field(ge=1), Integer(1, 50)]] = 10

    def check(self) -> None:
        """Checks that the sizes are in order."""
        if self.smallest > self.largest:
            raise ValueError(f"smallest must not exceed largest; got {self.smallest} and {self.largest}")


class ResolutionStages(Resizing):
    """Divides training into equal stages, each with images of `shares` of their detail, scaled up to full size.

    The default learns from full images first, then from ones as poor as small objects are.

    Paper: Singh and Davis, An Analysis of Scale Invariance in Object Detection (SNIP), 2018, 1711.08189, section 3.
    """

    kind: Literal["resolution_stages"] = "resolution_stages"
    shares: Hole[Annotated[tuple[Detail, ...], Field(min_length=1), STAGES]] = (1.0, 0.5)
