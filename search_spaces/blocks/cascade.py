"""Detection heads of several stages: regions are proposed, cut out and looked at once more, or again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.blocks.anchors import AnchorScheme
from search_spaces.blocks.base import Feature, Gate, Pyramid
from search_spaces.blocks.detection import DenseHead, DetectionHead, LightRpn, Reading, Rpn, Weights
from search_spaces.blocks.regions import PsRoiAlign, RegionPooling, RoiAlign
from search_spaces.blocks.relation import Relation
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


class RegionHead(DetectionHead):
    """A head of one class that proposes boxes, and stages that look at what lies in them.

    Args:
        rpn: What proposes: any head that answers at every anchor, asked for objects of any class.
        candidates: Anchors most likely to show an object that are looked at.
        proposals: Boxes that go on to the next stage; as many always, those that overlap too much last.
        overlap: Intersection over union from which on the worse of two candidates has to stand back.
        pooling: How a box is cut out of the pyramid.
        hidden: Outputs of the linear layers; range worth searching: 256 to 2048.
        relation: What the features of a box learn from those of the others, behind every linear layer; None: nothing.
        gate: What weighs the pyramid, before boxes are cut out, by the maps that the proposals are made of; None:
            nothing.
    """

    delta_weights: ClassVar[tuple[Weights, ...]] = ((10.0, 10.0, 5.0, 5.0),)
    layers: ClassVar[int] = 2  # linear layers of a stage

    rpn: Hole[DenseHead] = Rpn()
    candidates: Hole[Size] = 1000
    proposals: Hole[Size] = 300
    overlap: Hole[Share] = 0.7
    pooling: Hole[RegionPooling] = RoiAlign()
    hidden: Hole[Size] = 1024
    relation: Hole[Relation | None] = None
    gate: Hole[Gate | None] = None

    @property
    def voting(self) -> bool:
        """Whether the cells of position-sensitive maps vote, in place of linear layers."""
        return False

    def readings(self) -> tuple[Reading, ...]:
        """Returns the reading of the proposals, then one a stage."""
        return (*self.rpn.readings(), *(Reading("softmax", weights) for weights in self.delta_weights))

    def levels(self, inputs: Pyramid) -> Pyramid:
        """Returns the levels of what proposes."""
        return self.rpn.levels(inputs)

    def check_inputs(self, inputs: Pyramid) -> None:
        """Refuses maps that the proposals or the pooling cannot take, and outputs that the relation cannot."""
        name = "rpn"
        try:
            self.rpn.check_inputs(inputs)
            name = "pooling"
            self.pooling.channels(inputs)
            name = "relation"
            if self.relation is not None:
                self.relation.check_channels(self.hidden)
        except SpecError as error:
            raise error.at(name) from None

    def build(self, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> nn.Module:
        """Returns all stages."""
        from search_spaces.networks.cascade import RegionModule

        self.check_inputs(inputs)
        return RegionModule(self, inputs, outputs, anchors)


class TwoStage(RegionHead):
    """Proposals, what lies in them by RoIAlign, and two linear layers for their classes and boxes.

    Paper: Ren et al., 2015, arXiv 1506.01497; on a pyramid: Lin et al., 2017, arXiv 1612.03144, section 4.
    Deviation: Candidates are ranked over all levels together, and boxes are predicted once, not once a class.
    """

    kind: Literal["two_stage"] = "two_stage"


class Light(RegionHead):
    """A light second stage: depthwise proposals, position-sensitive maps of few channels, and one linear layer.

    The paper's spatial attention is a `gate`.

    Args:
        vote: Whether classes and boxes are means over the cells of position-sensitive maps of their own, without any
            linear layer: R-FCN. `hidden`, and the `width` of the pooling, have no meaning then.

    Paper: Qin et al., 2019, arXiv 1903.11752, section 3.2 (7 x 7 x 5 numbers a box, 1024 outputs). Votes: Dai et al.,
        2016, arXiv 1605.06409, section 2.2.
    """

    kind: Literal["light"] = "light"
    layers: ClassVar[int] = 1

    rpn: Hole[DenseHead] = LightRpn()
    proposals: Hole[Size] = 200
    pooling: Hole[RegionPooling] = PsRoiAlign()
    vote: Hole[bool] = False

    @property
    def voting(self) -> bool:
        """Whether the cells of position-sensitive maps vote, in place of linear layers."""
        return self.vote

    def check_inputs(self, inputs: Pyramid) -> None:
        """Refuses what any head of regions does, and votes that nothing casts or that a relation would read."""
        super().check_inputs(inputs)
        if self.vote and not isinstance(self.pooling, PsRoiAlign):
            kind = str(self.pooling.to_data()["kind"])
            raise SpecError("the cells of position-sensitive maps vote", kind, "ps_roi_align", "pooling")
        if self.vote and self.relation is not None:
            kind = str(self.relation.to_data()["kind"])
            raise SpecError("votes leave no features that a relation could read", kind, "null", "relation")


class CascadeHead(RegionHead):
    """Stages that each start from the boxes of the one before, and are trained on ever closer ones.

    Args:
        stages: Stages behind the proposals; range worth searching: 1 to 3.
    """

    delta_weights: ClassVar[tuple[Weights, ...]] = (
        (10.0, 10.0, 5.0, 5.0),
        (20.0, 20.0, 10.0, 10.0),
        (30.0, 30.0, 15.0, 15.0),
    )
    stages: Hole[Annotated[int, Field(ge=1, le=3)]] = 3

    def readings(self) -> tuple[Reading, ...]:
        """Returns the reading of the proposals, then one a stage."""
        return super().readings()[: 1 + self.stages]


class Cascade(CascadeHead):
    """Stages that each start from the boxes of the one before; their mean says which classes the last boxes have.

    Args:
        stages: Stages behind the proposals; range worth searching: 1 to 3.

    Paper: Cai & Vasconcelos, 2017, arXiv 1712.00726, section 4.1; the recipe's `cascade` says how close boxes have to
        be.
    Deviation: Boxes are predicted once, not once a class; every stage looks at the boxes that it is given, so that the
        mean is not that of all stages' answers for the last boxes.
    """

    kind: Literal["cascade"] = "cascade"


class HybridCascade(CascadeHead):
    """A cascade whose stages also see what a semantic branch makes of the whole image, with or without masks.

    Args:
        stages: Stages behind the proposals; range worth searching: 1 to 3.
        semantic: Whether there is a semantic branch.
        semantic_depth: Its 3x3 convolutions; range worth searching: 1 to 4.
        masks: Whether every stage predicts masks, too; they need data that say which object each pixel shows.
        interleaved: Whether a stage's masks are those of its own boxes, rather than of the boxes that it starts from.
        mask_flow: Whether a stage's masks also see the features of the masks of the stage before.
        mask_depth: 3x3 convolutions of a mask branch; range worth searching: 1 to 4.
        mask_width: Channels of these convolutions.
        mask_size: Rows, and columns, of what masks are made of; they have twice as many.

    Paper: Chen et al., 2019, arXiv 1901.07518, sections 3.1 to 3.3, equations 3 to 7.
    Deviation: The data need not label every pixel: the semantic branch learns the class of the object that a pixel
        shows, or that of the smallest box around it. Where they have no masks at all, only the boxes' half of the
        cascade is left: boxes and semantic branch, trained together; the flow from mask to mask has nothing to carry.
    """

    kind: Literal["hybrid_cascade"] = "hybrid_cascade"
    semantic: Hole[bool] = True
    semantic_depth: Hole[Count] = 4
    masks: Hole[bool] = False
    interleaved: Hole[bool] = True
    mask_flow: Hole[bool] = True
    mask_depth: Hole[Size] = 4
    mask_width: Hole[Size] = 256
    mask_size: Hole[Size] = 14

    def semantic_map(self, inputs: Pyramid) -> Feature:
        """Returns the map of the semantic branch: that of the second finest level, if there is one."""
        return inputs[min(1, len(inputs) - 1)]

    def build(self, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> nn.Module:
        """Returns all stages and branches."""
        from search_spaces.networks.hybrid import HybridModule

        self.check_inputs(inputs)
        return HybridModule(self, inputs, outputs, anchors)
