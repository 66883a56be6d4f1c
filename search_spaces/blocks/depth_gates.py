"""Dynamic depth: gates that decide for each example which units of a backbone it goes through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.blocks.base import Block, Feature, Form
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

    from search_spaces.cost import Cost

Size = Annotated[int, Field(ge=1)]


class DepthGate(Block):
    """Gates of all units that can be left out, together, for they may share a state.

    The module is called as `gates(x, i, state)`, where `x` is the input (N, C_i, H, W) of the i-th of these units and
    `state` what the call before returned, None at first; it returns whether each example goes through, (N,) of 0 and
    1, and the next state. Gradients pass the decision straight through.
    """

    takes: ClassVar[Form] = "map"
    gives: ClassVar[Form] = "vector"

    def build(self, channels: Sequence[int]) -> nn.Module:
        """Returns the gates of units whose inputs have these channels."""
        raise NotImplementedError

    def cost(self, channels: int = 64, image_size: tuple[int, int] = (64, 64)) -> Cost | None:
        """Returns what the gate of one unit costs, whose input of stride 4 has `channels` channels."""
        import torch

        from search_spaces.cost import called_cost

        x = torch.zeros(1, *Feature(channels, 4).shape(image_size), device="meta")
        return called_cost(lambda: self.build((channels,)), lambda gates: gates(x, 0))


class AdaptiveGate(DepthGate):
    """The average of the map, two linear layers, and a choice of two by straight-through Gumbel softmax.

    Args:
        hidden: Numbers between the layers.
        temperature: Of the softmax that gradients see.

    Paper: Veit & Belongie, 2017, arXiv 1711.11503, section 3.1 (16 numbers, temperature 1); Jang et al., 2016,
        arXiv 1611.01144, section 2.2.
    """

    kind: Literal["adaptive"] = "adaptive"
    hidden: Hole[Size] = 16
    temperature: Hole[Annotated[float, Field(gt=0)]] = 1.0

    def build(self, channels: Sequence[int]) -> nn.Module:
        """Returns a gate for each unit."""
        from search_spaces.networks.depth_gates import AdaptiveGates

        return AdaptiveGates(self, channels)


class SkipGate(DepthGate):
    """The average of the map, a linear layer, and one recurrent cell that all gates share.

    Args:
        recurrent: Whether the cell is there; without it each unit has a linear layer to its decision.
        hidden: Numbers in the cell's state.

    Paper: Wang et al., 2017, arXiv 1711.09485, section 3.1 (recurrent gate of 10 numbers).
    Deviation: Decisions are rounded, with the gradient of what is rounded (arXiv 1308.3432); the reinforced phase that
        follows in the paper is replaced by the penalty `skip_penalty` on the expected cost.
    """

    kind: Literal["skip"] = "skip"
    recurrent: Hole[bool] = True
    hidden: Hole[Size] = 10

    def build(self, channels: Sequence[int]) -> nn.Module:
        """Returns the gates and their cell."""
        from search_spaces.networks.depth_gates import SkipGates

        return SkipGates(self, channels)
