"""How a detector learns from boxes: which ones an anchor answers for, which anchors count, and what an error costs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from search_spaces.domains import Categorical, Float
from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole

Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
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
    """Which box, if any, an anchor or a proposal is to find.

    Args:
        positive: Intersection over union from which on a box is found.
        negative: Intersection over union below which there is background.
        low_quality: Whether a box also claims those that overlap it most, however little.
    """

    tasks: ClassVar[frozenset[str]] = DETECTION

    positive: Hole[Annotated[Share, Float(0.5, 0.7)]] = 0.5
    negative: Hole[Annotated[Share, Float(0.3, 0.5)]] = 0.4
    low_quality: Hole[bool] = True

    def check(self) -> None:
        """Refuses thresholds in the wrong order."""
        if self.negative > self.positive:
            raise ValueError(f"negative must not exceed positive; got {self.negative} > {self.positive}")

    def raised(self, step: float) -> Self:
        """Returns the same assignment with thresholds that are greater by `step`, up to 0.95."""
        higher = {name: min(getattr(self, name) + step, 0.95) for name in ("positive", "negative")}
        return self.model_copy(update=higher) if step else self


class IouAssignment(Assignment):
    """The box of the greatest overlap, where it is `positive` or more; none below `negative`; between, nothing counts.

    What lies to `negative` or more in an object that does not count (difficult, or a crowd) does not count either.

    Paper: Ren et al., Faster R-CNN, 2015, 1506.01497, section 3.1.2; the thresholds: Lin et al., 2017, 1708.02002,
        section 4.
    """

    kind: Literal["iou_assignment"] = "iou_assignment"


class LooseAssignment(Assignment):
    """As `iou_assignment`, but small boxes are found from a smaller overlap on.

    Args:
        small: Intersection over union from which on a small box is found.
        side: Boxes are small whose area is below that of a square of so many pixels a side.

    Paper: Zhang et al., S3FD, 2017, 1708.05237, section 3.2 (one lower threshold, for faces of any size).
    Deviation: The threshold depends on the size of the box; limits of 32 pixels are those of COCO's small objects.
    """

    kind: Literal["loose_assignment"] = "loose_assignment"
    small: Hole[Annotated[Share, Float(0.3, 0.5)]] = 0.4
    side: Hole[Positive] = 32.0


class ScaleCompensation(Assignment):
    """As `iou_assignment`, then boxes that nothing is to find get the anchors that overlap them most.

    Args:
        positive: Intersection over union from which on a box is found.
        negative: Intersection over union below which there is background.
        low_quality: Whether a box also claims those that overlap it most, however little.
        least: Overlap that an anchor of a box that nothing else finds has to exceed.

    Paper: Zhang et al., S3FD, 2017, 1708.05237, section 3.2: as many anchors as other boxes have in the mean.
    Deviation: The mean is that of the image's boxes, one if there is none; anchors are never taken from a box that has
        no other, and where several boxes want one, it goes to the one that it overlaps most.
    """

    kind: Literal["scale_compensation"] = "scale_compensation"
    positive: Hole[Annotated[Share, Float(0.35, 0.5)]] = 0.35
    negative: Hole[Share] = 0.35
    low_quality: Hole[bool] = False
    least: Hole[Annotated[Share, Float(0.05, 0.2)]] = 0.1


class Sampling(Trick):
    """Which anchors of an image count.

    Attributes:
        mean_of_objects: Whether losses of classes are divided by the number of objects found, and not by that of what
            counts.
    """

    tasks: ClassVar[frozenset[str]] = DETECTION
    mean_of_objects: ClassVar[bool] = False


class BalancedSampling(Sampling):
    """Lets `number` anchors or proposals of an image count, at most the share `positive` of them on objects.

    The rest is background; where an image has fewer objects than that, more background.

    Paper: Ren et al., Faster R-CNN, 2015, 1506.01497, section 3.1.3 (256 anchors, one to one).
    """

    kind: Literal["balanced_sampling"] = "balanced_sampling"
    number: Hole[Annotated[int, Field(ge=2), Categorical((64, 128, 256))]] = 256
    positive: Hole[Annotated[float, Field(gt=0, lt=1), Float(0.25, 0.5)]] = 0.5


class HardNegatives(Sampling):
    """Lets all anchors on objects count, and `ratio` times as many of the background, those of the greatest loss.

    Args:
        ratio: Anchors of the background for each on an object.
        least: Anchors of the background of an image without objects.

    Paper: Liu et al., SSD, 2016, 1512.02325, section 2.2 (three to one).
    Deviation: Images without objects teach something, too, by their `least` hardest anchors.
    """

    mean_of_objects: ClassVar[bool] = True

    kind: Literal["hard_negatives"] = "hard_negatives"
    ratio: Hole[Annotated[Positive, Float(1.0, 10.0, log=True)]] = 3.0
    least: Hole[Annotated[int, Field(ge=0)]] = 3


class GuidedLoss(Trick):
    """What a `guided` head learns beside classes and boxes: where objects have their middle, and their shape.

    Each object belongs to the level that suits its size. Around its middle is the region where it is to be found, then
    one that does not count, as both do on the levels next to it; the rest is background.

    Args:
        location: Weight of the loss of the middles.
        shape: Weight of the loss of widths and heights.
        centre: Sides of the region of the middle, in sides of the object.
        ignored: Sides of the region that does not count.

    Paper: Wang et al., Region Proposal by Guided Anchoring, 2019, 1901.03278, sections 3.2, 3.3 and 3.5, equations 3
        to 5 (weights 1 and 0.1, regions 0.2 and 0.5).
    """

    tasks: ClassVar[frozenset[str]] = DETECTION

    kind: Literal["guided_loss"] = "guided_loss"
    location: Hole[Weight] = 1.0
    shape: Hole[Weight] = 0.1
    centre: Hole[Annotated[float, Field(gt=0, le=1)]] = 0.2
    ignored: Hole[Annotated[float, Field(gt=0)]] = 0.5

    def check(self) -> None:
        """Refuses regions in the wrong order."""
        if self.centre > self.ignored:
            raise ValueError(f"centre must not exceed ignored; got {self.centre} > {self.ignored}")


class CascadeLoss(Trick):
    """How stages that look at regions learn one after another; heads of one such stage have no use for it.

    Args:
        step: How much more boxes have to overlap an object from each stage to the next.
        decay: What the losses of a stage weigh beside those of the stage before.
        semantic: Weight of the loss of a semantic branch.
        mask: Weight of the losses of masks.

    Paper: Cai & Vasconcelos, Cascade R-CNN, 2017, 1712.00726, section 4.1 (overlaps 0.5, 0.6, 0.7); Chen et al., Hybrid
        Task Cascade, 2019, 1901.07518, section 4.2 (weights 1, 0.5, 0.25 of stages and 1 of the semantic branch).
    """

    tasks: ClassVar[frozenset[str]] = DETECTION

    kind: Literal["cascade_loss"] = "cascade_loss"
    step: Hole[Annotated[float, Field(ge=0, le=0.4)]] = 0.1
    decay: Hole[Annotated[float, Field(gt=0, le=1)]] = 0.5
    semantic: Hole[Weight] = 1.0
    mask: Hole[Weight] = 1.0
