"""Relations: what boxes of one image say of one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from search_spaces.blocks.base import Block, Form

if TYPE_CHECKING:
    from torch import nn


class Relation(Block):
    """Features of boxes to features of the same shape that know of the other boxes of their image.

    The module is called as `relation(features, boxes)` with features (N, P, C) and boxes (N, P, 4) in pixels.
    """

    takes: ClassVar[Form] = "regions"
    gives: ClassVar[Form] = "sequence"

    def build(self, channels: int) -> nn.Module:
        """Returns the module for features of `channels` numbers a box."""
        raise NotImplementedError
