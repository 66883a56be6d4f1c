"""Detection heads that answer at every anchor, and what all detection heads say of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.blocks.anchors import AnchorScheme, GridAnchors
from search_spaces.blocks.base import Block, Feature, Form, Pyramid
from search_spaces.blocks.regions import one_width
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

    from search_spaces.cost import Cost

Size = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
Scores = Literal["sigmoid", "softmax", "objectness"]
Weights = tuple[float, float, float, float]

ONES: Weights = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Reading:
    """How what a head says of a box is read.

    Every head, whatever it is, says of each box where it starts from, logits, and (dx, dy, dw, dh) from there to the
    object; see `search_spaces.operators.boxes.decode`.

    Args:
        scores: `sigmoid`: K logits, each class by itself; `softmax`: K + 1 logits, of which one is right, the
            background last; `objectness`: the logit of an object, then K logits of its class, each by itself.
        weights: What (dx, dy, dw, dh) are divided by when they are decoded.
    """

    scores: Scores = "sigmoid"
    weights: Weights = ONES

    def logits(self, classes: int) -> int:
        """Returns the number of logits of a box for so many classes."""
        return classes + (self.scores != "sigmoid")


class DetectionHead(Block):
    """From a pyramid to undecoded classes and boxes.

    What the modules are called with, and what they return, is said by `search_spaces.networks.detection.HeadModule`.
    """

    takes: ClassVar[Form] = "pyramid"
    gives: ClassVar[Form] = "sequence"

    def readings(self) -> tuple[Reading, ...]:
        """Returns how the stages of the head are read: that of the anchors first, then those of regions."""
        raise NotImplementedError

    def levels(self, inputs: Pyramid) -> Pyramid:
        """Returns the maps at whose positions anchors stand, finest first; by default those that go in."""
        return inputs

    def check_inputs(self, inputs: Pyramid) -> None:
        """Refuses maps that the head cannot take; by default those of different channels.

        Raises:
            SpecError: It cannot take them; the path says which field is at odds with them.
        """
        one_width(inputs, "a head shared by all levels reads")

    def build(self, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> nn.Module:
        """Returns the module for these maps.

        Args:
            inputs: Channels and strides of the maps, finest first.
            outputs: Number of classes, the background not among them.
            anchors: Where boxes start from.

        Raises:
            SpecError: The head or the anchors cannot take these maps.
        """
        raise NotImplementedError

    def cost(self, channels: int = 64, image_size: tuple[int, int] = (64, 64)) -> Cost | None:
        """Returns what the head costs on maps of strides 8 to 32, for ten classes and one anchor a position."""
        import torch

        from search_spaces.cost import called_cost

        inputs = tuple(Feature(channels, 8 * 2**i) for i in range(3))
        one = GridAnchors(scales=(1.0,), ratios=(1.0,))

        def call(module: nn.Module) -> object:
            maps = [torch.zeros(1, *feature.shape(image_size), device="meta") for feature in inputs]
            return module.final(module(maps, image_size))  # type: ignore[operator]

        return called_cost(lambda: self.build(inputs, 10, one), call)


class DenseHead(DetectionHead):
    """Answers at every anchor. With one class it proposes regions to the heads that look at them once more."""

    def readings(self) -> tuple[Reading, ...]:
        """Returns one reading."""
        return (Reading(),)

    def guide(self, inputs: Pyramid) -> int:
        """Returns the channels of the maps that the answers are made of, which may guide what others see."""
        return inputs[0].channels


class OneStage(DenseHead):
    """Two towers of 3x3 convolutions, shared by all levels: one for the classes, one for the boxes of every anchor.

    Args:
        depth: 3x3 convolutions of each tower; range worth searching: 1 to 4.
        norm: `group` norm behind them, which is the same on every level, or `none`.
        prior: Probability that each class has of standing at an anchor before training.

    Paper: Lin et al., 2017, arXiv 1708.02002, section 4 and 4.1 (prior 0.01).
    """

    kind: Literal["one_stage"] = "one_stage"
    depth: Hole[Count] = 4
    norm: Hole[Literal["none", "group"]] = "group"
    prior: Hole[Share] = 0.01

    def build(self, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> nn.Module:
        """Returns the towers."""
        from search_spaces.networks.detection import OneStageModule

        self.check_inputs(inputs)
        return OneStageModule(self, inputs, outputs, anchors)


class Rpn(DenseHead):
    """A 3x3 convolution, shared by all levels, then 1x1 convolutions for the classes and boxes of every anchor.

    Paper: Ren et al., 2015, arXiv 1506.01497, section 3.1.
    """

    kind: Literal["rpn"] = "rpn"

    def build(self, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> nn.Module:
        """Returns the convolutions."""
        from search_spaces.networks.detection import RpnModule

        self.check_inputs(inputs)
        return RpnModule(self, inputs, outputs, anchors)


class LightRpn(DenseHead):
    """A 5x5 depthwise and a 1x1 convolution in place of the 3x3 one of an `rpn`.

    Args:
        width: Channels of the 1x1 convolution; range worth searching: 64 to 256.

    Paper: Qin et al., 2019, arXiv 1903.11752, section 3.2.
    """

    kind: Literal["light_rpn"] = "light_rpn"
    width: Hole[Size] = 256

    def guide(self, inputs: Pyramid) -> int:
        """Returns the channels behind the 1x1 convolution."""
        return self.width

    def build(self, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> nn.Module:
        """Returns the convolutions."""
        from search_spaces.networks.detection import LightRpnModule

        self.check_inputs(inputs)
        return LightRpnModule(self, inputs, outputs, anchors)


class Ssd(DenseHead):
    """A 3x3 convolution for the classes and one for the boxes of every level, which has weights of its own.

    Args:
        scores: Whether one of the classes and the background is right (`softmax`), or each class is asked for by itself
            (`sigmoid`).
        extra_levels: Coarser levels added behind the last map, by a 1x1 convolution and a 3x3 one of stride 2 each.
        extra_width: Channels of these levels; the 1x1 convolution has half as many.
        prior: Probability that each class has of standing at an anchor before training.

    Paper: Liu et al., 2016, arXiv 1512.02325, section 2.1.
    Deviation: The prior of focal loss (arXiv 1708.02002, section 3.3), without which training needs hard negatives; no
        map is scaled to a length of its own, which the maps of a neck do not need.
    """

    kind: Literal["ssd"] = "ssd"
    scores: Hole[Literal["softmax", "sigmoid"]] = "softmax"
    extra_levels: Hole[Count] = 0
    extra_width: Hole[Size] = 256
    prior: Hole[Share] = 0.01

    def readings(self) -> tuple[Reading, ...]:
        """Returns one reading."""
        return (Reading(self.scores),)

    def levels(self, inputs: Pyramid) -> Pyramid:
        """Returns the maps that go in and the levels added."""
        last = inputs[-1].stride
        return (*inputs, *(Feature(self.extra_width, last * 2**i) for i in range(1, self.extra_levels + 1)))

    def check_inputs(self, inputs: Pyramid) -> None:
        """Takes maps of any channels; as a guide for others they have to be equal."""

    def build(self, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> nn.Module:
        """Returns the convolutions of every level."""
        from search_spaces.networks.detection import SsdModule

        return SsdModule(self, inputs, outputs, anchors)


class PoolingPyramid(DenseHead):
    """A 1x1 convolution and predictors that all levels share, further levels being the maxima of the last one.

    Args:
        pooled: Levels added behind the last map, each the maxima of 2x2 values of the one before; range worth
            searching: 1 to 5, or as many as lead from the map to one position.
        hidden: Channels of the 1x1 convolution; range worth searching: 64 to 512.
        prior: Probability that each class has of standing at an anchor before training.

    Paper: Jin et al., 2018, arXiv 1807.03284, section 3.
    Deviation: The prior of focal loss (arXiv 1708.02002, section 3.3), as in the other heads.
    """

    kind: Literal["pooling_pyramid"] = "pooling_pyramid"
    pooled: Hole[Count] = 2
    hidden: Hole[Size] = 256
    prior: Hole[Share] = 0.01

    def levels(self, inputs: Pyramid) -> Pyramid:
        """Returns the maps that go in and the pooled ones."""
        channels, last = inputs[-1].channels, inputs[-1].stride
        return (*inputs, *(Feature(channels, last * 2**i) for i in range(1, self.pooled + 1)))

    def guide(self, inputs: Pyramid) -> int:
        """Returns the channels of the 1x1 convolution."""
        return self.hidden

    def build(self, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> nn.Module:
        """Returns the convolutions."""
        from search_spaces.networks.detection import PoolingPyramidModule

        self.check_inputs(inputs)
        return PoolingPyramidModule(self, inputs, outputs, anchors)


class Yolo(DenseHead):
    """A 3x3 and a 1x1 convolution for every level, which say whether there is an object, of which classes, and its box.

    The centre of a box never leaves its cell.

    Args:
        hidden: Channels of the 3x3 convolution; range worth searching: 64 to 1024.
        prior: Probability of an object at an anchor before training.

    Paper: Redmon & Farhadi, 2018, arXiv 1804.02767, sections 2.1 to 2.3.
    Deviation: One 3x3 convolution with ReLU a level, behind a neck of one's choice, in place of the paper's own neck;
        the recipe says what an error of a box costs, and the prior is that of focal loss.
    """

    kind: Literal["yolo"] = "yolo"
    hidden: Hole[Size] = 256
    prior: Hole[Share] = 0.01

    def readings(self) -> tuple[Reading, ...]:
        """Returns one reading."""
        return (Reading("objectness"),)

    def guide(self, inputs: Pyramid) -> int:
        """Returns the channels of the 3x3 convolution."""
        return self.hidden

    def check_inputs(self, inputs: Pyramid) -> None:
        """Takes maps of any channels."""

    def build(self, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> nn.Module:
        """Returns the convolutions of every level."""
        from search_spaces.networks.detection import YoloModule

        return YoloModule(self, inputs, outputs, anchors)


class Guided(DenseHead):
    """Says where objects may be and which shape they have there, and starts from these boxes with adapted features.

    The anchor scheme's boxes are no anchors here, but the sizes that tell, in training, which object a position is for.
    Each position has one box, a square of `scale` strides until training says otherwise.

    Args:
        depth: 3x3 convolutions in front, shared by all levels; range worth searching: 0 to 4.
        scale: Side of the square that shapes start from, in strides.
        threshold: Probability of an object below which a position finds nothing outside of training; range worth
            searching: 0.01 to 0.1.
        prior: Probability of an object, and of each class, at a position before training.

    Paper: Wang et al., 2019, arXiv 1901.03278, sections 3.2 to 3.4 (scale 8, threshold 0.01).
    Deviation: Positions below the threshold are computed and left out, in place of a masked convolution.
    """

    kind: Literal["guided"] = "guided"
    depth: Hole[Count] = 1
    scale: Hole[Annotated[float, Field(gt=0)]] = 8.0
    threshold: Hole[Share] = 0.01
    prior: Hole[Share] = 0.01

    def build(self, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> nn.Module:
        """Returns the branches."""
        from search_spaces.networks.guided_anchoring import GuidedModule

        self.check_inputs(inputs)
        return GuidedModule(self, inputs, outputs, anchors)
