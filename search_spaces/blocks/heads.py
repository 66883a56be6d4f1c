"""Heads: from features to what is predicted of a position or of a box, and the anchors that boxes start from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.blocks.base import Block, Form, Pyramid
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
Shapes = tuple[tuple[tuple[float, float], ...], ...]  # (width, height) of each anchor of a position, level by level


class SegmentationHead(Block):
    """From one map to a number for each class at each position."""

    takes: ClassVar[Form] = "map"
    gives: ClassVar[Form] = "map"

    def build(self, channels: int, outputs: int) -> nn.Module:
        """Returns the module from maps (N, channels, H, W) to maps (N, outputs, H, W)."""
        raise NotImplementedError


class Head1x1(SegmentationHead):
    """One 1x1 convolution.

    Paper: Long et al., 2014, arXiv 1411.4038, section 4.1.
    """

    kind: Literal["1x1"] = "1x1"

    def build(self, channels: int, outputs: int) -> nn.Module:
        """Returns the convolution."""
        from torch import nn

        return nn.Conv2d(channels, outputs, 1)


class Head3x3(SegmentationHead):
    """One 3x3 convolution.

    Paper: Badrinarayanan et al., 2015, arXiv 1511.00561, section 3 (the last layer of the decoder classifies).
    """

    kind: Literal["3x3"] = "3x3"

    def build(self, channels: int, outputs: int) -> nn.Module:
        """Returns the convolution."""
        from torch import nn

        return nn.Conv2d(channels, outputs, 3, padding=1)


class Head3x3Then1x1(SegmentationHead):
    """A 3x3 convolution with batch norm and ReLU, then a 1x1 one.

    Args:
        hidden: Channels between the two.

    Paper: Zhao et al., 2017, arXiv 1612.01105, as the authors' code has it.
    """

    kind: Literal["3x3+1x1"] = "3x3+1x1"
    hidden: Hole[Size] = 64

    def build(self, channels: int, outputs: int) -> nn.Module:
        """Returns the two convolutions."""
        from torch import nn

        from search_spaces.networks.convolution import conv_norm

        return nn.Sequential(conv_norm(channels, self.hidden, 3), nn.Conv2d(self.hidden, outputs, 1))


class AnchorScheme(Block):
    """Which boxes stand at each position of a pyramid before anything is predicted.

    Its holes belong to the space like any others; boxes for an image size come from
    `search_spaces.operators.boxes.anchor_boxes`.
    """

    takes: ClassVar[Form] = "pyramid"
    gives: ClassVar[Form] = "sequence"

    def shapes(self, strides: tuple[int, ...]) -> Shapes:
        """Returns width and height in pixels of the anchors of one position, for each level; as many on each.

        Args:
            strides: Pixels for a step on each level, finest first.

        Raises:
            SpecError: The scheme does not fit the number of levels.
        """
        raise NotImplementedError


class GridAnchors(AnchorScheme):
    """Every size, scale and ratio at the centre of every position.

    Args:
        sizes: Side of a square anchor of scale 1, in strides of its level: one for all levels, or one a level.
        scales: What the side is multiplied by.
        ratios: Height over width; the area stays.

    Paper: Lin et al., 2017, arXiv 1708.02002, section 4 (side 4 strides, three scales an octave, three ratios).
    """

    kind: Literal["grid"] = "grid"
    sizes: Hole[Annotated[tuple[Hole[Positive], ...], Field(min_length=1)]] = (4.0,)
    scales: Hole[Annotated[tuple[Positive, ...], Field(min_length=1)]] = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
    ratios: Hole[Annotated[tuple[Positive, ...], Field(min_length=1)]] = (0.5, 1.0, 2.0)

    def shapes(self, strides: tuple[int, ...]) -> Shapes:
        """Returns width and height of the anchors of one position: ratio by ratio, within it scale by scale."""
        if len(self.sizes) not in (1, len(strides)):
            allowed = f"1 size, or one for each of the {len(strides)} levels"
            raise SpecError("anchors have one size for all levels or one a level", list(self.sizes), allowed, "sizes")
        sizes = self.sizes if len(self.sizes) > 1 else self.sizes * len(strides)
        return tuple(
            tuple(
                (size * scale * stride / math.sqrt(ratio), size * scale * stride * math.sqrt(ratio))
                for ratio in self.ratios
                for scale in self.scales
            )
            for size, stride in zip(sizes, strides, strict=True)
        )


class DetectionHead(Block):
    """From a pyramid to undecoded classes and boxes.

    Attributes:
        stages: 1: boxes start from anchors; 2: from proposals, which the network selects by itself.
        delta_weights: What (dx, dy, dw, dh) of the last stage are divided by when they are decoded.
        proposal_weights: The same for the first of two stages.
    """

    takes: ClassVar[Form] = "pyramid"
    gives: ClassVar[Form] = "sequence"
    stages: ClassVar[Literal[1, 2]]
    delta_weights: ClassVar[tuple[float, float, float, float]] = (1.0, 1.0, 1.0, 1.0)
    proposal_weights: ClassVar[tuple[float, float, float, float]] = (1.0, 1.0, 1.0, 1.0)

    def build(self, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> nn.Module:
        """Returns the module for these maps.

        Args:
            inputs: Channels and strides of the maps, finest first; all have as many channels.
            outputs: Number of classes, the background not among them.
            anchors: Where boxes start from.
        """
        raise NotImplementedError


class OneStage(DetectionHead):
    """Two towers of 3x3 convolutions, shared by all levels: one for the classes, one for the boxes of every anchor.

    Args:
        depth: 3x3 convolutions of each tower.
        norm: `group` norm behind them, which is the same on every level, or `none`.
        prior: Probability that each class has of standing at an anchor before training.

    Paper: Lin et al., 2017, arXiv 1708.02002, section 4 and 4.1 (prior 0.01).
    """

    kind: Literal["one_stage"] = "one_stage"
    stages: ClassVar[Literal[1, 2]] = 1
    depth: Hole[Count] = 4
    norm: Hole[Literal["none", "group"]] = "group"
    prior: Hole[Share] = 0.01

    def build(self, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> nn.Module:
        """Returns the towers."""
        from search_spaces.networks.heads import OneStageModule

        return OneStageModule(self, inputs, outputs, anchors)


class TwoStage(DetectionHead):
    """A region proposal network, RoIAlign of the best proposals, and two linear layers for their classes and boxes.

    Args:
        candidates: Anchors with the highest objectness that are looked at.
        proposals: Boxes that go on to the second stage; as many always, the best of those that overlap too much last.
        overlap: Intersection over union from which on the worse of two candidates has to stand back.
        size: Rows, and columns, of the map cut out for a box.
        sampling: Points, in each direction, that each of its cells averages over.
        hidden: Outputs of the linear layers.

    Paper: Ren et al., 2015, arXiv 1506.01497; on a pyramid: Lin et al., 2017, arXiv 1612.03144, section 4.
    Deviation: Candidates are ranked over all levels together, and boxes are predicted once, not once a class.
    """

    kind: Literal["two_stage"] = "two_stage"
    stages: ClassVar[Literal[1, 2]] = 2
    delta_weights: ClassVar[tuple[float, float, float, float]] = (10.0, 10.0, 5.0, 5.0)
    candidates: Hole[Size] = 1000
    proposals: Hole[Size] = 300
    overlap: Hole[Share] = 0.7
    size: Hole[Size] = 7
    sampling: Hole[Size] = 2
    hidden: Hole[Size] = 1024

    def build(self, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> nn.Module:
        """Returns both stages."""
        from search_spaces.networks.heads import TwoStageModule

        return TwoStageModule(self, inputs, outputs, anchors)
