"""How a detector learns from boxes: which ones an anchor answers for, which anchors count, and what an error costs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.domains import Categorical, Float
from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
DETECTION = frozenset({"detection"})


class BoxLoss(Trick):
    """What the error of a predicted box costs, times `weight`."""

    tasks: ClassVar[frozenset[str]] = DETECTION

    weight: Hole[Annotated[Positive, Float(1.0, 10.0, log=True)]] = 1.0


class SmoothL1(BoxLoss):
    """A parabola of the error of each of the four deltas up to `beta`, a line from there on.

    Paper: Girshick, Fast R-CNN, 2015, 1504.08083, equation 3 (beta 1).
    """

    kind: Literal["smooth_l1"] = "smooth_l1"
    beta: Hole[Annotated[Positive, Float(1 / 9, 1.0, log=True)]] = 1.0


class Iou(BoxLoss):
    """1 - intersection over union; boxes that do not meet learn nothing.

    Paper: Yu et al., UnitBox, 2016, 1608.01471.
    Deviation: 1 - IoU in place of -ln IoU, as all later forms of it.
    """

    kind: Literal["iou"] = "iou"


class Giou(BoxLoss):
    """`Iou` and the share of the smallest box around both that neither covers.

    Paper: Rezatofighi et al., Generalized Intersection over Union, 2019, 1902.09630, algorithm 1.
    """

    kind: Literal["giou"] = "giou"


class Diou(BoxLoss):
    """`Iou` and the squared distance of the centres over the squared diagonal of the smallest box around both.

    Paper: Zheng et al., Distance-IoU Loss, 2019, 1911.08287, equation 7.
    """

    kind: Literal["diou"] = "diou"


class Ciou(BoxLoss):
    """`Diou` and a penalty on another ratio of width to height.

    Paper: Zheng et al., Distance-IoU Loss, 2019, 1911.08287, equation 10.
    """

    kind: Literal["ciou"] = "ciou"


class Assignment(Trick):
    """Which box, if any, an anchor or a proposal is to find."""

    tasks: ClassVar[frozenset[str]] = DETECTION


class IouAssignment(Assignment):
    """The box of the greatest overlap, where it is `positive` or more; none below `negative`; between, nothing counts.

    What lies to `negative` or more in an object that does not count (difficult, or a crowd) does not count either.

    Args:
        positive: Intersection over union from which on a box is found.
        negative: Intersection over union below which there is background.
        low_quality: Whether a box also claims those that overlap it most, however little.

    Paper: Ren et al., Faster R-CNN, 2015, 1506.01497, section 3.1.2; the thresholds: Lin et al., 2017, 1708.02002,
        section 4.
    """

    kind: Literal["iou_assignment"] = "iou_assignment"
    positive: Hole[Annotated[Share, Float(0.5, 0.7)]] = 0.5
    negative: Hole[Annotated[Share, Float(0.3, 0.5)]] = 0.4
    low_quality: Hole[bool] = True

    def check(self) -> None:
        """Refuses thresholds in the wrong order."""
        if self.negative > self.positive:
            raise ValueError(f"negative must not exceed positive; got {self.negative} > {self.positive}")


class BalancedSampling(Trick):
    """Lets `number` anchors or proposals of an image count, at most the share `positive` of them on objects.

    The rest is background; where an image has fewer objects than that, more background.

    Paper: Ren et al., Faster R-CNN, 2015, 1506.01497, section 3.1.3 (256 anchors, one to one).
    """

    tasks: ClassVar[frozenset[str]] = DETECTION

    kind: Literal["balanced_sampling"] = "balanced_sampling"
    number: Hole[Annotated[int, Field(ge=2), Categorical((64, 128, 256))]] = 256
    positive: Hole[Annotated[float, Field(gt=0, lt=1), Float(0.25, 0.5)]] = 0.5
