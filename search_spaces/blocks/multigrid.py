"""Multigrid convolutions: every map of a pyramid is computed from itself and its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.base import Feature, Neck, Pyramid, at_least
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]


class Multigrid(Neck):
    """Convolutions of each map beside the next finer one, max-pooled, and the next coarser one, enlarged.

    Args:
        width: Channels of every map that comes out.
        scales: Number of the coarsest maps that go in, and come out; None: all. Values worth searching: 1, 2, 3.
        layers: Such convolutions one after the other, with batch norm and ReLU between them; with each of them a map
            hears from one map further away.
        kernel: Height and width of the filters, odd.

    Paper: Ke et al., 2016, arXiv 1611.07661, section 3.
    """

    kind: Literal["multigrid"] = "multigrid"
    width: Hole[Size] = 256
    scales: Hole[Size | None] = None
    layers: Hole[Size] = 1
    kernel: Hole[Literal[1, 3, 5, 7]] = 3

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns maps of `width` channels at the strides of those that are used."""
        return tuple(Feature(self.width, feature.stride) for feature in self.used(inputs))

    def used(self, inputs: Pyramid) -> Pyramid:
        """Returns the maps that take part.

        Raises:
            SpecError: There are fewer than `scales`.
        """
        if self.scales is None:
            return inputs
        at_least(inputs, self.scales, f"a multigrid of {self.scales} scales")
        return inputs[-self.scales :]

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels and strides."""
        from search_spaces.networks.multigrid import MultigridModule

        return MultigridModule(self, self.used(inputs))
