"""Convolutions: from one map to another, by whatever weights each position meets its neighbours with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple, final

from pydantic import Field

from search_spaces.blocks.base import Block, Example, Feature, Form
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn


class ConvPlan(NamedTuple):
    """What a convolution becomes in its place.

    Args:
        inputs: Channels that go in.
        outputs: Channels that come out.
        kernel: Height and width of the filters.
        stride: Steps, vertical and horizontal.
        dilation: Distance of the filters' taps.
    """

    inputs: int
    outputs: int
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    dilation: int = 1


class Convolution(Block):
    """A map (N, inputs, H, W) to one (N, outputs, ceil(H / stride), ceil(W / stride)), without bias or activation.

    A subclass writes `_build`, and `check_plan` where it cannot take every place.
    """

    takes: ClassVar[Form] = "map"
    gives: ClassVar[Form] = "map"

    def check_plan(self, plan: ConvPlan) -> None:
        """Refuses places that the convolution cannot take; by default those with an even kernel.

        Raises:
            SpecError: The kernel, the channels or the strides do not suit it.
        """
        if any(size % 2 == 0 for size in plan.kernel):
            raise SpecError("a kernel has a middle", list(plan.kernel), "odd heights and widths")

    @final
    def build(self, plan: ConvPlan) -> nn.Module:
        """Returns the module for a place, its weights drawn from torch's global generator.

        Raises:
            SpecError: The convolution cannot take the place.
        """
        self.check_plan(plan)
        return self._build(plan)

    def _build(self, plan: ConvPlan) -> nn.Module:
        raise NotImplementedError

    def example(self, channels: int = 64) -> Example | None:
        """Returns the convolution with a 3x3 kernel from `channels` to `channels` channels at stride 4."""
        feature = Feature(channels, 4)
        return Example(lambda: self.build(ConvPlan(channels, channels)), (feature,), (feature,))


class Dense(Convolution):
    """Every tap and every input channel has a weight of its own.

    Paper: LeCun et al., 1989; with dilation: Yu & Koltun, 2015, arXiv 1511.07122.
    """

    kind: Literal["dense"] = "dense"

    def check_plan(self, plan: ConvPlan) -> None:
        """Takes every place; with an even kernel the caller pads the last row and column."""

    def _build(self, plan: ConvPlan) -> nn.Module:
        from search_spaces.networks.convolution import conv

        return conv(plan)


class Atrous(Convolution):
    """A dense convolution whose taps lie further apart.

    Args:
        dilation: Distance of the taps, times the place's own. Values worth searching: 1, 2, 3, 4, 6.

    Paper: Yu & Koltun, 2015, arXiv 1511.07122, section 2.
    """

    kind: Literal["atrous"] = "atrous"
    dilation: Hole[Annotated[int, Field(ge=1)]] = 2

    def _build(self, plan: ConvPlan) -> nn.Module:
        from search_spaces.networks.convolution import conv

        return conv(plan._replace(dilation=plan.dilation * self.dilation))
