"""What is done with detections of one class that overlap."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.domains import Float
from search_spaces.recipe.boxes import DETECTION, Positive, Share
from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole


class Suppression(Trick):
    """What becomes of detections that overlap a better one of their class."""

    tasks: ClassVar[frozenset[str]] = DETECTION


class HardNms(Suppression):
    """Drops those whose intersection over union with a better one that stays exceeds `threshold`.

    Paper: Girshick et al., Rich Feature Hierarchies, 2014, 1311.2524, section 2.2.
    """

    kind: Literal["hard_nms"] = "hard_nms"
    threshold: Hole[Annotated[Share, Float(0.3, 0.7)]] = 0.5


class SoftNms(Suppression):
    """Lowers their scores, the more the greater the overlap with those taken before; below `floor` they are dropped.

    Args:
        form: `linear`: times 1 - IoU where it exceeds `threshold`; `gaussian`: times exp(-IoU^2 / `sigma`).
        sigma: Of the Gaussian.
        threshold: Of the linear form.
        floor: Least score.

    Paper: Bodla et al., Soft-NMS, 2017, 1704.04503, equations 2 and 3.
    """

    kind: Literal["soft_nms"] = "soft_nms"
    form: Hole[Literal["linear", "gaussian"]] = "gaussian"
    sigma: Hole[Annotated[Positive, Float(0.1, 1.0)]] = 0.5
    threshold: Hole[Annotated[Share, Float(0.3, 0.6)]] = 0.3
    floor: Hole[Annotated[float, Field(ge=0, lt=1)]] = 1e-3


class DiouNms(Suppression):
    """`HardNms` by IoU less (squared distance of centres / squared diagonal of the box around both) ^ `beta`.

    Paper: Zheng et al., Distance-IoU Loss, 2019, 1911.08287, section 3.3.
    """

    kind: Literal["diou_nms"] = "diou_nms"
    threshold: Hole[Annotated[Share, Float(0.4, 0.7)]] = 0.5
    beta: Hole[Positive] = 1.0


class WeightedNms(Suppression):
    """Replaces the best of each cluster by the mean of its boxes, weighted by their scores; the rest is dropped.

    Paper: Bazarevsky et al., BlazeFace, 2019, 1907.05047, section 3.4.
    """

    kind: Literal["weighted_nms"] = "weighted_nms"
    threshold: Hole[Annotated[Share, Float(0.2, 0.6)]] = 0.3
