"""Augmentation policies: each image gets operations of a list that was found, or drawn, by others."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from search_spaces.domains import Float, Integer
from search_spaces.recipe.augment import Augmentation
from search_spaces.spec import Hole


class Policy(Augmentation):
    """Random operations out of a list, of colour and of geometry."""


class AutoAugment(Policy):
    """One of 25 sub-policies of two operations each, which were found for a data set.

    Paper: Cubuk et al., AutoAugment, 2019, 1805.09501, appendix A.
    """

    kind: Literal["auto_augment"] = "auto_augment"
    policy: Hole[Literal["cifar10", "imagenet", "svhn"]] = "cifar10"


class RandAugment(Policy):
    """`operations` different operations out of 15, all of strength `magnitude` on a scale up to 30.

    Paper: Cubuk et al., RandAugment, 2020, 1909.13719, section 3.
    Deviation: 30 stands for the greatest strength below it, for kornia takes no other.
    """

    kind: Literal["rand_augment"] = "rand_augment"
    operations: Hole[Annotated[int, Field(ge=1, le=15), Integer(1, 3)]] = 2
    magnitude: Hole[Annotated[float, Field(gt=0, le=30), Float(1.0, 30.0)]] = 10.0


class TrivialAugment(Policy):
    """One operation of a random strength.

    Paper: Mueller and Hutter, TrivialAugment, 2021, 2103.10158, section 3.
    """

    kind: Literal["trivial_augment"] = "trivial_augment"
