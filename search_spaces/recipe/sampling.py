"""Which training rows come, how often and when; and which weights learn from them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.domains import Float
from search_spaces.recipe.augment import Share
from search_spaces.recipe.trick import IMAGE_TASKS, Trick
from search_spaces.spec import Hole

Epochs = Annotated[float, Field(ge=0)]


class Balance(Trick):
    """How often each training row is drawn; an epoch has as many rows as without."""

    tasks: ClassVar[frozenset[str]] = IMAGE_TASKS


class BalanceClasses(Balance):
    """Draws a row in proportion to the frequency of its rarest class to the power -`power`; 1: all classes alike.

    Paper: Shen et al., Relay Backpropagation, 2016, 1512.05830, section 4 (class-aware sampling).
    """

    kind: Literal["balance_classes"] = "balance_classes"
    power: Hole[Annotated[Share, Float(0.0, 1.0)]] = 1.0


class OversampleSmall(Balance):
    """Draws images with a small object `ratio` times as often as others.

    Small is an object whose box has a side (the root of its area) below `small` of the image's.

    Paper: Kisantal et al., Augmentation for small object detection, 2019, 1902.07296, section 4.1.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"detection"})

    kind: Literal["oversample_small"] = "oversample_small"
    ratio: Hole[Annotated[float, Field(ge=1), Float(2.0, 4.0)]] = 3.0
    small: Hole[Annotated[Share, Float(0.1, 0.4)]] = 0.25


class Curriculum(Trick):
    """What comes first in training."""


class EasyFirst(Curriculum):
    """Learns from the easiest `start` of the rows first, and from a share that grows to all over `epochs`.

    Easy are images with little detail, masks with few edges, and scenes with few and large objects.

    Paper: Bengio et al., Curriculum Learning, 2009, section 4; linear pacing: Hacohen and Weinshall, On The Power of
    Curriculum Learning, 2019, 1904.03626, section 2.3.
    """

    tasks: ClassVar[frozenset[str]] = IMAGE_TASKS

    kind: Literal["easy_first"] = "easy_first"
    start: Hole[Annotated[float, Field(gt=0, le=1), Float(0.1, 0.5)]] = 0.25
    epochs: Hole[Annotated[Epochs, Float(1.0, 30.0)]] = 5.0


class Staged(Curriculum):
    """Keeps the first `frozen` of the network's weights, input side, as they are for `epochs`, then trains all.

    Paper: Wang et al., SkipNet, 2018, 1711.09485, and Wu et al., BlockDrop, 2018, 1711.08393, for training parts
    first and all jointly after.
    """

    kind: Literal["staged"] = "staged"
    epochs: Hole[Annotated[Epochs, Float(0.5, 10.0)]] = 1.0
    frozen: Hole[Annotated[float, Field(ge=0, lt=1), Float(0.25, 0.75)]] = 0.5
