"""Convolutions that move: taps that learn where to read, and channels that are shifted ahead of a 1x1 convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.convolution import Convolution, ConvPlan
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Factor = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]


class Deformable(Convolution):
    """Taps that are moved at each position by what a convolution beside it says; at first by nothing.

    Args:
        groups: Groups of channels that are moved alike. Values worth searching: 1, 2, 4.
        modulated: Whether each tap is weighed at each position, too; at first by a half.
        offset_rate: Learning rate of the convolution that moves them, over that of other weights. Range worth
            searching: 0.01 to 1.

    Paper: Dai et al., 2017, arXiv 1703.06211, section 2.1; modulated: Zhu et al., 2018, arXiv 1811.11168, section 2.2.
    """

    kind: Literal["deformable"] = "deformable"
    groups: Hole[Size] = 1
    modulated: Hole[bool] = False
    offset_rate: Hole[Factor] = 0.1

    def check_plan(self, plan: ConvPlan) -> None:
        """Refuses even kernels, and channels that do not divide into the groups."""
        super().check_plan(plan)
        if plan.inputs % self.groups:
            rule = f"{plan.inputs} channels do not divide into groups"
            raise SpecError(rule, self.groups, f"a divisor of {plan.inputs}", "groups")

    def _build(self, plan: ConvPlan) -> nn.Module:
        from search_spaces.networks.convolution_sampled import DeformableModule

        return DeformableModule(self, plan)


class Active(Convolution):
    """Taps that learn where they lie, the same at every position and for every channel; at first on the usual grid.

    Args:
        rate: Learning rate of where they lie, over that of other weights. Range worth searching: 0.001 to 0.1.
        frozen: Share of training in which they stay where they are. Range worth searching: 0 to 0.1.

    The gradient of the positions is scaled to a mean length of 1, so that they move by their learning rate.

    Paper: Jeon & Kim, 2017, arXiv 1703.09076, section 3.
    Deviation: The loss scaling of fp16 comes after, and makes the steps smaller by the scale.
    """

    kind: Literal["active"] = "active"
    rate: Hole[Factor] = 0.01
    frozen: Hole[Annotated[float, Field(ge=0, le=1)]] = 0.0

    def _build(self, plan: ConvPlan) -> nn.Module:
        from search_spaces.networks.convolution_sampled import ActiveModule

        return ActiveModule(self, plan)


class Shift(Convolution):
    """Groups of channels, each moved to another place of the kernel, then a 1x1 convolution.

    Kernels worth searching: 3, 5.

    Args:
        expansion: Above 1, a 1x1 convolution to as many times the channels, with batch norm and ReLU, comes first.
            Values worth searching: 1, 3, 6.

    Paper: Wu et al., 2017, arXiv 1711.08141, section 3.
    Deviation: Where the kernel's places do not divide the channels, the paper leaves the rest in the middle; here
        groups differ by one channel, so that fewer channels than places move, too.
    """

    kind: Literal["shift"] = "shift"
    expansion: Hole[Size] = 1

    def _build(self, plan: ConvPlan) -> nn.Module:
        from search_spaces.networks.convolution_sampled import shift

        return shift(self, plan)


class SparseShift(Convolution):
    """Channels that learn how far they are moved, by whole pixels, then a 1x1 convolution.

    The displacements start anywhere within the kernel; their gradient is that of a bilinear interpolation.

    Args:
        penalty: What the loss takes from each pixel of displacement. Range worth searching: 1e-5 to 1e-3.
        rate: Learning rate of the displacements, over that of other weights. Range worth searching: 0.1 to 1.
        quantized: Whether they are rounded; otherwise the map is interpolated.

    Paper: Chen et al., 2019, arXiv 1903.05285, section 3; not quantized: Jeon & Kim, 2018, arXiv 1806.07370, section 3.
    """

    kind: Literal["sparse_shift"] = "sparse_shift"
    penalty: Hole[Weight] = 5e-4
    rate: Hole[Factor] = 1.0
    quantized: Hole[bool] = True

    def _build(self, plan: ConvPlan) -> nn.Module:
        from search_spaces.networks.convolution_sampled import sparse_shift

        return sparse_shift(self, plan)
