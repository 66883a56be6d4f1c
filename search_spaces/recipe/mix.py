"""Blends of the images of a batch, with what they show."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.domains import Categorical, Float
from search_spaces.recipe.augment import Share
from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole

# Below 0.01 the draws of Beta underflow and come out as even blends.
Shape = Annotated[float, Field(ge=0.01)]
Until = Annotated[Share, Categorical((0.8, 0.9, 1.0))]


class Mix(Trick):
    """A random blend of the images of a batch, and of their labels alike, up to the share `until` of training."""


class Mixup(Mix):
    """Blends each image with another of the batch, lambda from Beta(alpha, alpha), one lambda a batch.

    Paper: Zhang et al., mixup: Beyond Empirical Risk Minimization, 2018, 1710.09412, equation 1.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"classification"})

    kind: Literal["mixup"] = "mixup"
    alpha: Hole[Annotated[Shape, Float(0.01, 1.0)]] = 0.2
    until: Hole[Until] = 1.0


class Ricap(Mix):
    """Patches each image together of crops of four, which meet at a point from Beta(beta, beta) of each side.

    Labels are weighted by the crops' areas; one point and one place of each crop a batch.

    Paper: Takahashi et al., Data Augmentation using Random Image Cropping and Patching, 2018, 1811.09030, section 3.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"classification"})

    kind: Literal["ricap"] = "ricap"
    beta: Hole[Annotated[Shape, Float(0.1, 1.0)]] = 0.3
    until: Hole[Until] = 1.0


class DetectionMixup(Mix):
    """Blends each image with another, lambda from Beta(alpha, alpha), without resizing.

    An image has the objects of both; they weigh lambda and 1 - lambda in the loss.

    Paper: Zhang et al., Bag of Freebies for Training Object Detection, 2019, 1902.04103, section 3.1.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"detection"})

    kind: Literal["detection_mixup"] = "detection_mixup"
    alpha: Hole[Annotated[Shape, Float(1.0, 2.0)]] = 1.5
    until: Hole[Until] = 1.0
