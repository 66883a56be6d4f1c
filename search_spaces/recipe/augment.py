"""Changes to the images of a batch; sizes are shares of the image's side, so that they fit every data set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole

Share = Annotated[float, Field(ge=0, le=1)]


class Augmentation(Trick):
    """A random change to the images that leaves their labels alone."""


class Crop(Augmentation):
    """Pads every side by `padding` of the image's side with the mean and cuts the old size out at a random place.

    Paper: He et al., Deep Residual Learning, 2016, 1512.03385, section 4.2 (4 of 32 pixels).
    """

    kind: Literal["crop"] = "crop"
    padding: Hole[Annotated[float, Field(ge=0, le=0.5)]] = 0.125


class Flip(Augmentation):
    """Mirrors left and right with probability `p`."""

    kind: Literal["flip"] = "flip"
    p: Hole[Share] = 0.5


class Cutout(Augmentation):
    """Sets `holes` squares, `length` of the image's side wide, to the mean; centres are uniform, borders clip.

    Paper: DeVries and Taylor, Improved Regularization of CNNs with Cutout, 2017, 1708.04552 (16 of 32 pixels).
    """

    kind: Literal["cutout"] = "cutout"
    length: Hole[Share] = 0.5
    holes: Hole[Annotated[int, Field(ge=1)]] = 1


class Mix(Trick):
    """A random blend of the images of a batch that blends their labels alike."""


class Mixup(Mix):
    """Blends each image with another of the batch, lambda from Beta(alpha, alpha), one lambda a batch.

    Paper: Zhang et al., mixup: Beyond Empirical Risk Minimization, 2018, 1710.09412, equation 1.
    """

    kind: Literal["mixup"] = "mixup"
    # Below 0.01 the draws of Beta underflow and come out as even blends.
    alpha: Hole[Annotated[float, Field(ge=0.01)]] = 0.2
