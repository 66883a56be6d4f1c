"""Units: what the stages of a backbone consist of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, final

from pydantic import Field

from search_spaces.blocks.base import Attention, Block, Example, Feature, Form
from search_spaces.blocks.convolution import Convolution, ConvPlan, Dense
from search_spaces.blocks.non_local import GlobalContext
from search_spaces.blocks.normalization import BatchNorm, Norm
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class UnitPlan:
    """What a unit becomes within its network.

    Args:
        in_channels: Channels of its input.
        width: Channels within it.
        out_channels: Channels of its output.
        stride: Step of its 3x3 convolution, of the first one if there are two.
        before: Dilation that its input asks for.
        after: Dilation that its output asks for; twice `before` where the unit gave up a stride of 2.
        dilation: Its own further dilation of the last 3x3 convolution.
        conv: What stands in the place of 3x3 convolutions.
        norm: What follows each convolution.
        attention: What the residual goes through before it is added; None: nothing.
        average: Whether a shortcut of stride 2 averages two by two positions, in place of reading every other one.
        depth: Where the unit lies, from 0 (excluded) to 1 (the deepest); drop path grows with it.
    """

    in_channels: int
    width: int
    out_channels: int
    stride: int = 1
    before: int = 1
    after: int = 1
    dilation: int = 1
    conv: Convolution = Dense()
    norm: Norm = BatchNorm()
    attention: Attention | None = None
    average: bool = False
    depth: float = 1.0

    @property
    def keeps(self) -> bool:
        """Whether a map goes through without a change of its shape, so that the unit can be left out."""
        return self.stride == 1 and self.in_channels == self.out_channels

    def first(self, inputs: int, outputs: int) -> ConvPlan:
        """Returns the place of the 3x3 convolution that has the unit's stride."""
        return ConvPlan(inputs, outputs, stride=(self.stride, self.stride), dilation=self.before)

    def last(self, inputs: int, outputs: int) -> ConvPlan:
        """Returns the place of a later 3x3 convolution."""
        return ConvPlan(inputs, outputs, dilation=self.after * self.dilation)


class Unit(Block):
    """A map to one whose stride and channels the unit may change."""

    takes: ClassVar[Form] = "map"
    gives: ClassVar[Form] = "map"
    expansion: ClassVar[int] = 1
    may_be_left_out: ClassVar[bool] = False
    """Whether the module takes, beside its input, what to multiply its residual by."""

    def out_channels(self, inputs: int, width: int, stride: int) -> int:
        """Returns the channels that come out.

        Args:
            inputs: Channels that go in.
            width: Channels within the unit.
            stride: Its step.
        """
        return width * self.expansion

    def check_plan(self, plan: UnitPlan) -> None:
        """Refuses places that the unit cannot take; by default those that its convolution cannot.

        Raises:
            SpecError: The channels do not suit it.
        """
        plan.conv.check_plan(plan.first(plan.in_channels, plan.width))
        plan.conv.check_plan(plan.last(plan.width, plan.width))

    @final
    def build(self, plan: UnitPlan) -> nn.Module:
        """Returns the module for a place, its weights drawn from torch's global generator.

        Raises:
            SpecError: The unit cannot take the place.
        """
        self.check_plan(plan)
        return self._build(plan)

    def _build(self, plan: UnitPlan) -> nn.Module:
        raise NotImplementedError

    def plan(self, inputs: int, width: int, stride: int = 1) -> UnitPlan:
        """Returns the plain place of a unit of these channels and this step."""
        return UnitPlan(inputs, width, self.out_channels(inputs, width, stride), stride)

    def example(self, channels: int = 64) -> Example | None:
        """Returns the unit at stride 2, as wide within as `channels` allow, from stride 4 to 8."""
        plan = self.plan(channels, max(1, channels // self.expansion), 2)
        self.check_plan(plan)
        return Example(lambda: self.build(plan), (Feature(channels, 4),), (Feature(plan.out_channels, 8),))


class Basic(Unit):
    """Two 3x3 convolutions and a shortcut.

    Args:
        zero: Whether the last norm begins at 0, so that the unit begins as its shortcut.

    Paper: He et al., 2016, arXiv 1512.03385, figure 5, left. Zero: Goyal et al., 2017, arXiv 1706.02677, section 5.1.
    """

    kind: Literal["basic"] = "basic"
    may_be_left_out: ClassVar[bool] = True
    zero: Hole[bool] = False

    def _build(self, plan: UnitPlan) -> nn.Module:
        from search_spaces.networks.units import BasicModule

        return BasicModule(self, plan)


class Bottleneck(Unit):
    """A 3x3 convolution between two 1x1 ones, and a shortcut; four times as many channels come out.

    Args:
        zero: Whether the last norm begins at 0, so that the unit begins as its shortcut.

    Paper: He et al., 2016, arXiv 1512.03385, figure 5, right.
    Deviation: The stride is in the 3x3 convolution, as in all published weights since.
    """

    kind: Literal["bottleneck"] = "bottleneck"
    may_be_left_out: ClassVar[bool] = True
    expansion: ClassVar[int] = 4
    zero: Hole[bool] = False

    def check_plan(self, plan: UnitPlan) -> None:
        """Refuses channels that the convolution in the middle cannot take."""
        plan.conv.check_plan(plan.first(plan.width, plan.width))

    def _build(self, plan: UnitPlan) -> nn.Module:
        from search_spaces.networks.units import BottleneckModule

        return BottleneckModule(self, plan)


class DenseUnit(Unit):
    """Beside its input it puts `width` new maps: a 1x1 and a 3x3 convolution of it, each behind norm and ReLU.

    With a stride of 2 a 1x1 convolution to half of the channels and an average over two by two positions come first.

    Args:
        bottleneck: Channels between the two convolutions, in widths.

    Paper: Huang et al., 2016, arXiv 1608.06993, section 3 (growth rate 32; range worth searching: 12 to 48).
    """

    kind: Literal["dense_unit"] = "dense_unit"
    bottleneck: Hole[Size] = 4

    def out_channels(self, inputs: int, width: int, stride: int) -> int:
        """Returns the channels of the input, halved by a stride, and `width` more."""
        return (inputs if stride == 1 else max(1, inputs // 2)) + width

    def check_plan(self, plan: UnitPlan) -> None:
        """Refuses channels that the 3x3 convolution cannot take."""
        plan.conv.check_plan(plan.last(self.bottleneck * plan.width, plan.width))

    def _build(self, plan: UnitPlan) -> nn.Module:
        from search_spaces.networks.units import DenseModule

        return DenseModule(self, plan)


class Inception(Unit):
    """1x1, 3x3 and 5x5 convolutions and a pooling side by side, the larger ones behind a 1x1 reduction.

    Of a width w come w maps of the 1x1, 2 w of the 3x3 (reduced to 3 w / 2), w / 2 of the 5x5 (w / 4) and of the
    pooling: the shares of the first inception module of GoogLeNet.

    Paper: Szegedy et al., 2014, arXiv 1409.4842, section 5 and table 1.
    Deviation: Convolutions are batch-normalised; the 5x5 is a 5x5 dense one whatever `conv` says.
    """

    kind: Literal["inception"] = "inception"
    expansion: ClassVar[int] = 4

    def check_plan(self, plan: UnitPlan) -> None:
        """Refuses a width that cannot be halved twice."""
        if plan.width % 4:
            raise SpecError("an inception unit has branches of a quarter of its width", plan.width, "multiples of 4")
        plan.conv.check_plan(plan.first(3 * plan.width // 2, 2 * plan.width))

    def example(self, channels: int = 64) -> Example | None:
        """Returns the unit at stride 2, from stride 4 to 8."""
        plan = self.plan(channels, channels // 4, 2)
        self.check_plan(plan if channels >= 4 else self.plan(channels, channels, 2))
        return Example(lambda: self.build(plan), (Feature(channels, 4),), (Feature(plan.out_channels, 8),))

    def _build(self, plan: UnitPlan) -> nn.Module:
        from search_spaces.networks.units import InceptionModule

        return InceptionModule(plan)


class InceptionResidual(Unit):
    """A shortcut and, scaled down, three branches of one, two and three convolutions joined by a linear 1x1.

    Args:
        scale: What the branches are multiplied by before they are added; range worth searching: 0.1 to 0.3, and 1.

    Paper: Szegedy et al., 2016, arXiv 1602.07261, sections 3.2 and 3.3.
    Deviation: One form for all sizes of maps, with 3x3 convolutions in place of pairs of 1x7 and 7x1.
    """

    kind: Literal["inception_residual"] = "inception_residual"
    may_be_left_out: ClassVar[bool] = True
    expansion: ClassVar[int] = 4
    scale: Hole[Annotated[float, Field(ge=0, le=1)]] = 0.2

    def _build(self, plan: UnitPlan) -> nn.Module:
        from search_spaces.networks.units import InceptionResidualModule

        return InceptionResidualModule(self, plan)


class FullyExploited(Unit):
    """Works on a part of its channels and hands the others on as they are, for a later unit to work on.

    Each unit works on the channels that the one before handed on first of all: what it hands on comes first in its
    output. Where stride or channels change, it works on all.

    Args:
        kept: Share of the channels that is handed on; range worth searching: 1/4 to 1/2.

    Paper: Chen et al., 2019, arXiv 1903.05285, section 3.3: with a shift in the place of the 3x3 convolution.
    """

    kind: Literal["fully_exploited"] = "fully_exploited"
    kept: Hole[Annotated[float, Field(gt=0, lt=1)]] = 0.5

    def handed_on(self, channels: int) -> int:
        """Returns the number of channels that are handed on."""
        return min(channels - 1, max(1, round(channels * self.kept)))

    def check_plan(self, plan: UnitPlan) -> None:
        """Refuses a single channel, of which no part could be handed on, and what the convolution cannot take."""
        if plan.keeps and plan.in_channels < 2:
            raise SpecError("a fully exploited unit needs channels to hand on", plan.in_channels, "2 or more")
        plan.conv.check_plan(plan.first(plan.width, plan.width))

    def _build(self, plan: UnitPlan) -> nn.Module:
        from search_spaces.networks.units import FullyExploitedModule

        return FullyExploitedModule(self, plan)


class AggregationTree(Unit):
    """A tree of basic units whose outputs meet in aggregation nodes: 2^levels units, a node a level.

    Args:
        levels: Levels of the tree; range worth searching: 1 to 3.
        residual: Whether a node also adds the last of its inputs.

    Paper: Yu et al., 2017, arXiv 1707.06484, section 3.2 and figure 3 (hierarchical, with reused nodes).
    """

    kind: Literal["aggregation_tree"] = "aggregation_tree"
    levels: Hole[Annotated[int, Field(ge=1, le=4)]] = 1
    residual: Hole[bool] = False

    def _build(self, plan: UnitPlan) -> nn.Module:
        from search_spaces.networks.units import TreeModule

        return TreeModule(self, plan, self.levels, 0)


class LightPose(Unit):
    """A depthwise 3x3 convolution between two 1x1 ones, attention behind it, and a shortcut; four times the width.

    Args:
        attention: What the map in the middle goes through, whatever attention the network has; None: nothing.

    Paper: Zhang et al., 2019, arXiv 1911.10346, section 3.1.
    """

    kind: Literal["light_pose"] = "light_pose"
    may_be_left_out: ClassVar[bool] = True
    expansion: ClassVar[int] = 4
    attention: Hole[Attention | None] = GlobalContext()

    def check_plan(self, plan: UnitPlan) -> None:
        """Refuses a width that the attention in the middle cannot take."""
        if self.attention is not None:
            try:
                self.attention.outputs((Feature(plan.width, 1),))
            except SpecError as error:
                raise error.at("attention") from None

    def _build(self, plan: UnitPlan) -> nn.Module:
        from search_spaces.networks.units import LightPoseModule

        return LightPoseModule(self, plan)
