"""Convolutions put together from smaller ones: branches and stages that make up, or stand in for, a dense filter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.convolution import Convolution, ConvPlan
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]


def divides(parts: int, plan: ConvPlan, path: str) -> None:
    """Refuses places whose channels cannot be parted into as many equal groups.

    Raises:
        SpecError: The channels that go in, or those that come out, do not divide.
    """
    if plan.inputs % parts or plan.outputs % parts:
        rule = f"{plan.inputs} channels in and {plan.outputs} out do not divide into groups"
        raise SpecError(rule, parts, f"a divisor of {math.gcd(plan.inputs, plan.outputs)}", path)


class Asymmetric(Convolution):
    """A square, a horizontal and a vertical convolution, each with its batch norm, added up; one when deployed.

    Args:
        gamma: Scale of each of the three batch norms at first. Values worth searching: 1, 1/3.
        groups: Groups of channels that do not meet.

    Paper: Ding et al., 2019, arXiv 1908.03930, section 3 (ACNet).
    """

    kind: Literal["asymmetric"] = "asymmetric"
    gamma: Hole[Annotated[float, Field(gt=0)]] = 1.0
    groups: Hole[Size] = 1

    def check_plan(self, plan: ConvPlan) -> None:
        """Refuses even kernels, and channels that do not divide into the groups."""
        super().check_plan(plan)
        divides(self.groups, plan, "groups")

    def _build(self, plan: ConvPlan) -> nn.Module:
        from search_spaces.networks.convolution_factored import AsymmetricModule

        return AsymmetricModule(self, plan)


class Separable(Convolution):
    """One filter a channel, then a 1x1 convolution over the channels.

    Kernels worth searching: 3, 5, 7.

    Args:
        activation: Whether batch norm and ReLU stand between the two.

    Paper: Chollet, 2016, arXiv 1610.02357, section 3 (without activation); Howard et al., 2017, arXiv 1704.04861,
        section 3.1 (with it).
    """

    kind: Literal["separable"] = "separable"
    activation: Hole[bool] = False

    def _build(self, plan: ConvPlan) -> nn.Module:
        from search_spaces.networks.convolution_factored import separable

        return separable(self, plan)


class Blaze(Convolution):
    """A separable convolution beside a shortcut, which is max-pooled at strides and padded with channels of zeros.

    Kernels worth searching: 3, 5, 7.

    Args:
        inner: Channels between two separable convolutions, a ReLU behind the first; None: there is one alone.

    Paper: Bazarevsky et al., 2019, arXiv 1907.05047, section 3 (single BlazeBlock; double with 24 inner channels).
    Deviation: No biases, and no ReLU at the end: the place has its norm and its activation. Where fewer channels come
        out than go in, which the paper has nowhere, there is no shortcut.
    """

    kind: Literal["blaze"] = "blaze"
    inner: Hole[Size | None] = None

    def _build(self, plan: ConvPlan) -> nn.Module:
        from search_spaces.networks.convolution_factored import BlazeModule

        return BlazeModule(self, plan)


class Factorized(Convolution):
    """Two or more small convolutions, one after the other, that see as much as one large filter.

    Kernels worth searching: 3, 5, 7.

    Args:
        form: `lines`: a row of taps, then a column; `stack`: filters of at most 3x3, one for each two taps.
        activation: Whether batch norm and ReLU stand between them.

    Paper: Szegedy et al., 2015, arXiv 1512.00567, sections 3.1 (stack; activations are better) and 3.2 (lines).
    """

    kind: Literal["factorized"] = "factorized"
    form: Hole[Literal["lines", "stack"]] = "lines"
    activation: Hole[bool] = True

    def _build(self, plan: ConvPlan) -> nn.Module:
        from search_spaces.networks.convolution_factored import factorized

        return factorized(self, plan)


class LargeKernel(Convolution):
    """A column of taps then a row, added to a row then a column.

    Kernels worth searching: 5, 7, 11, 15.

    Paper: Peng et al., 2017, arXiv 1703.02719, section 3.2 (global convolutional network).
    """

    kind: Literal["large_kernel"] = "large_kernel"

    def _build(self, plan: ConvPlan) -> nn.Module:
        from search_spaces.networks.convolution_factored import LargeKernelModule

        return LargeKernelModule(plan)


class Heterogeneous(Convolution):
    """Filters that are large on one part of the channels, each group of filters on another, and 1x1 on the rest.

    Args:
        parts: Parts of the channels. Values worth searching: 1, 2, 4, 8.

    Paper: Singh et al., 2019, arXiv 1903.04120, section 3 (HetConv).
    Deviation: The filters of a group, and the channels on which they are large, lie side by side; the paper shifts from
        one filter to the next. The two differ by the order of the channels.
    """

    kind: Literal["heterogeneous"] = "heterogeneous"
    parts: Hole[Size] = 4

    def check_plan(self, plan: ConvPlan) -> None:
        """Refuses even kernels, and channels that do not divide into the parts."""
        super().check_plan(plan)
        divides(self.parts, plan, "parts")

    def _build(self, plan: ConvPlan) -> nn.Module:
        from search_spaces.networks.convolution_factored import HeterogeneousModule

        return HeterogeneousModule(self, plan)
