"""Changes to the images of a batch that leave their labels alone, and what the images are measured in."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.domains import Float
from search_spaces.recipe.trick import IMAGE_TASKS, Trick
from search_spaces.spec import Hole

Share = Annotated[float, Field(ge=0, le=1)]


class Normalize(Trick):
    """Takes a mean off every channel and divides by a standard deviation.

    `dataset`: those of the training part; `imagenet`: those of ImageNet, averaged where there are not three channels;
    `none`: 0 and 1, so that images lie in [0, 1].

    Paper: LeCun et al., Efficient BackProp, 1998, section 4.3.
    """

    tasks: ClassVar[frozenset[str]] = IMAGE_TASKS

    kind: Literal["normalize"] = "normalize"
    statistics: Hole[Literal["dataset", "imagenet", "none"]] = "dataset"


class Augmentation(Trick):
    """A random change to images that leaves their labels alone; masks and boxes move along.

    Sizes are shares of the image's side, so that they fit every data set.
    """

    tasks: ClassVar[frozenset[str]] = IMAGE_TASKS


class Cutout(Augmentation):
    """Sets `holes` squares, `length` of the image's side wide, to the mean; centres are uniform, borders clip.

    Paper: DeVries and Taylor, Improved Regularization of CNNs with Cutout, 2017, 1708.04552 (16 of 32 pixels).
    """

    kind: Literal["cutout"] = "cutout"
    length: Hole[Annotated[Share, Float(0.125, 0.75)]] = 0.5
    holes: Hole[Annotated[int, Field(ge=1)]] = 1


class Erasing(Augmentation):
    """Fills a rectangle within the image, with probability `p`.

    Its area is uniform in [`smallest`, `largest`] of the image's, its height over width log-uniform in [`aspect`,
    1 / `aspect`]. `fill` is black, the mean, or uniform noise a pixel and channel.

    Paper: Zhong et al., Random Erasing Data Augmentation, 2017, 1708.04896, algorithm 1.
    """

    kind: Literal["erasing"] = "erasing"
    p: Hole[Annotated[Share, Float(0.1, 0.9)]] = 0.5
    smallest: Hole[Annotated[float, Field(gt=0, lt=1)]] = 0.02
    largest: Hole[Annotated[float, Field(gt=0, lt=1), Float(0.33, 0.4)]] = 0.4
    aspect: Hole[Annotated[float, Field(gt=0, le=1)]] = 0.3
    fill: Hole[Literal["black", "mean", "noise"]] = "noise"

    def check(self) -> None:
        """Checks that the areas are in order."""
        if self.smallest > self.largest:
            raise ValueError(f"smallest must not exceed largest; got {self.smallest} and {self.largest}")
