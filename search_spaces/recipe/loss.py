"""What training minimizes: targets, losses, margins, and how the losses of several outputs are joined."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.domains import Float, Integer
from search_spaces.recipe.trick import IMAGE_TASKS, Trick
from search_spaces.spec import Hole

Weight = Annotated[float, Field(ge=0)]
Scale = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class LabelSmoothing(Trick):
    """Moves `epsilon` of a target from its class to others.

    `uniform` spreads it over all K classes (epsilon / K each), `others` over the wrong ones (epsilon / (K - 1) each);
    `fixed` gives each wrong class epsilon / 20 whatever K is, so that targets sum to 1 for 21 classes alone.

    Paper: Szegedy et al., Rethinking the Inception Architecture, 2016, 1512.00567, section 7.
    """

    kind: Literal["label_smoothing"] = "label_smoothing"
    epsilon: Hole[Annotated[float, Field(ge=0, lt=1), Float(0.0, 0.2)]] = 0.1
    variant: Hole[Literal["uniform", "others", "fixed"]] = "uniform"


class Loss(Trick):
    """What takes the place of cross-entropy."""

    tasks: ClassVar[frozenset[str]] = IMAGE_TASKS


class Focal(Loss):
    """Cross-entropy times `alpha` (1 - p)^`gamma`, p the probability of the target: easy examples count less.

    Over independent classes (sigmoid) negatives weigh 1 - `alpha`; None for `alpha` weighs nothing.

    Paper: Lin et al., Focal Loss for Dense Object Detection, 2017, 1708.02002, equation 5.
    """

    tasks: ClassVar[frozenset[str]] = IMAGE_TASKS

    kind: Literal["focal"] = "focal"
    gamma: Hole[Annotated[Weight, Float(0.0, 5.0)]] = 2.0
    alpha: Hole[Annotated[Annotated[float, Field(gt=0, lt=1)] | None, Float(0.1, 0.9)]] = 0.25


class BoundaryFocal(Loss):
    """Focal loss times a weight that falls from `weight` at a boundary of classes to 1 far from it.

    Pixels form `bands` sets by their distance to the nearest boundary, each `width` pixels wide, and the rest.

    Paper: Zhen et al., Learning Fully Dense Neural Networks, 2019, 1905.08929, section 3.3.
    Deviation: The weights of the sets fall in equal steps; the paper's own were not available.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"segmentation"})

    kind: Literal["boundary_focal"] = "boundary_focal"
    gamma: Hole[Annotated[Weight, Float(0.0, 5.0)]] = 2.0
    weight: Hole[Annotated[float, Field(ge=1), Float(1.0, 8.0)]] = 4.0
    bands: Hole[Annotated[int, Field(ge=1), Integer(1, 5)]] = 3
    width: Hole[Annotated[int, Field(ge=1)]] = 1


class Margin(Trick):
    """Makes the target harder to reach in the angle between an example and the weights of its class.

    The rows of the last linear layer are kept at length 1 and its bias at 0, so that the network alone, without its
    recipe, still ranks classes by angle.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"classification"})


class ArcFace(Margin):
    """Logits `scale` cos(theta), the target's angle grown by `margin`.

    `easy` leaves targets beyond a right angle alone; otherwise those whose angle would pass pi fall linearly.

    Paper: Deng et al., ArcFace, 2019, 1801.07698, equation 3.
    """

    kind: Literal["arcface"] = "arcface"
    scale: Hole[Annotated[Scale, Float(16.0, 64.0, log=True)]] = 64.0
    margin: Hole[Annotated[float, Field(ge=0, le=1.5), Float(0.0, 0.7)]] = 0.5
    easy: Hole[bool] = False


class AngularSoftmax(Margin):
    """Logits |x| cos(theta), for the target |x| psi(theta): its angle times `margin`, made monotone.

    The target's logit is (lambda cos + psi) / (1 + lambda), lambda falling from `start` to `end` over training.

    Paper: Liu et al., SphereFace, 2017, 1704.08063, equation 7; lambda as in section 4.1 of its code.
    """

    kind: Literal["angular_softmax"] = "angular_softmax"
    margin: Hole[Annotated[int, Field(ge=1, le=8), Integer(1, 4)]] = 4
    start: Hole[Weight] = 1000.0
    end: Hole[Weight] = 5.0


class DeepSupervision(Trick):
    """Adds the losses of auxiliary heads: `weight` times the first, each next one `decay` times the one before.

    Paper: Lee et al., Deeply-Supervised Nets, 2015, 1409.5185, equation 3.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"classification", "segmentation"})

    kind: Literal["deep_supervision"] = "deep_supervision"
    weight: Hole[Annotated[Weight, Float(0.1, 1.0)]] = 0.4
    decay: Hole[Annotated[float, Field(gt=0, le=1), Float(0.5, 1.0)]] = 1.0


class EdgeLoss(Trick):
    """Adds binary cross-entropy between the network's edges and where the classes of the mask meet.

    `balanced` weighs edge pixels by the share of the others, and the others by theirs.

    Paper: Takikawa et al., Gated-SCNN, 2019, 1907.05740, equation 3.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"segmentation"})

    kind: Literal["edge_loss"] = "edge_loss"
    weight: Hole[Annotated[Weight, Float(1.0, 40.0, log=True)]] = 20.0
    width: Hole[Annotated[int, Field(ge=1)]] = 1
    balanced: Hole[bool] = True


class DualTask(Trick):
    """Makes the boundaries of the predicted classes those of the mask, and classes right where edges are predicted.

    `boundary` weighs the first term, `edge` the cross-entropy where the network's edge probability is over `threshold`.

    Paper: Takikawa et al., Gated-SCNN, 2019, 1907.05740, equations 4 to 7.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"segmentation"})

    kind: Literal["dual_task"] = "dual_task"
    boundary: Hole[Annotated[Weight, Float(0.1, 2.0)]] = 1.0
    edge: Hole[Annotated[Weight, Float(0.1, 2.0)]] = 1.0
    threshold: Hole[Share] = 0.8
    temperature: Hole[Scale] = 1.0


class UncertaintyWeighting(Trick):
    """Joins losses as the sum of exp(-s) L + s, each s learned with the network; half of it for regressions.

    In segmentation no loss is a regression, in detection those of boxes are.

    Paper: Kendall et al., Multi-Task Learning Using Uncertainty, 2018, 1705.07115, equation 10.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"segmentation", "detection"})

    kind: Literal["uncertainty_weighting"] = "uncertainty_weighting"
    initial: Hole[float] = 0.0
