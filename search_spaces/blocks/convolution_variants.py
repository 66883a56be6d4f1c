"""Convolutions whose weights come from the map, that work at two resolutions, or whose weights take three values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.blocks.convolution import Convolution, ConvPlan
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Steepness = Annotated[float, Field(gt=0)]


class DynamicFilter(Convolution):
    """One filter for all channels, which a convolution derives from the map itself, then a 1x1 convolution.

    Kernels worth searching: 3, 5, 9.

    Args:
        scope: `local`: a filter of its own at each position; `global`: one for the map, from the averages of channels.
        softmax: Whether the weights of a filter are positive and add up to 1.

    Paper: Jia et al., 2016, arXiv 1605.09673, section 3.
    Deviation: A single convolution derives the filters, where the paper has a network; they filter what they come from.
    """

    kind: Literal["dynamic_filter"] = "dynamic_filter"
    scope: Hole[Literal["local", "global"]] = "local"
    softmax: Hole[bool] = False

    def _build(self, plan: ConvPlan) -> nn.Module:
        from search_spaces.networks.convolution_variants import DynamicFilterModule

        return DynamicFilterModule(self, plan)


class Octave(Convolution):
    """A convolution of which a share of the channels, the last ones, is computed at half the resolution.

    That share is averaged over 2x2 pixels where it goes in and repeated where it comes out, so that a stack computes
    what it would on two separate maps.

    Args:
        alpha: The share. Values worth searching: 0, 0.125, 0.25, 0.5, 0.75.
        place: `first`: all channels that go in have the full resolution; `last`: all that come out have it.

    Paper: Chen et al., 2019, arXiv 1904.05049, section 3.
    Deviation: Strides are those of the convolutions, where the authors' code averages ahead of them.
    """

    size_multiple: ClassVar[int] = 2

    kind: Literal["octave"] = "octave"
    alpha: Hole[Annotated[float, Field(ge=0, lt=1)]] = 0.125
    place: Hole[Literal["inner", "first", "last"]] = "inner"

    def _build(self, plan: ConvPlan) -> nn.Module:
        from search_spaces.networks.convolution_variants import OctaveModule

        return OctaveModule(self, plan)


class Ternary(Convolution):
    """Weights of -a, 0 and a, with one a per filter, that meet inputs of -1, 0 and 1.

    The first and the last layer of a network should stay as they are. In training inputs go through a smooth function
    that comes closer to those three values.

    Args:
        start: Steepness of that function at first. Range worth searching: 2 to 5.
        end: Its steepness at the end of training. Range worth searching: 5 to 10.
        weights: Whether the weights are ternary; otherwise they are free.
        inputs: Whether the inputs are; otherwise they go in as they are.

    Paper: Heinrich et al., 2018, arXiv 1801.09449, section 2 (TernaryNet); weights: Li et al., 2016, arXiv 1605.04711.
    """

    kind: Literal["ternary"] = "ternary"
    start: Hole[Steepness] = 3.0
    end: Hole[Steepness] = 8.0
    weights: Hole[bool] = True
    inputs: Hole[bool] = True

    def _build(self, plan: ConvPlan) -> nn.Module:
        from search_spaces.networks.convolution_variants import ternary

        return ternary(self, plan)
