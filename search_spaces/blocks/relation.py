"""Relations: what is known of the boxes of an image, informed by the other boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from search_spaces.blocks.attention import Size, must_divide
from search_spaces.blocks.base import Block, Form
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

    from search_spaces.cost import Cost


class Relation(Block):
    """Features of boxes to features of the same shape: the module is called as `relation(features, boxes)`.

    Features are (N, P, C), boxes (N, P, 4) in pixels.
    """

    takes: ClassVar[Form] = "regions"
    gives: ClassVar[Form] = "sequence"

    def check_channels(self, channels: int) -> None:
        """Refuses features that the relation cannot take; by default none.

        Raises:
            SpecError: It cannot take as many channels.
        """

    def build(self, channels: int) -> nn.Module:
        """Returns the module for features of `channels` channels."""
        raise NotImplementedError

    def cost(self, channels: int = 64, image_size: tuple[int, int] = (64, 64)) -> Cost | None:
        """Returns what the relation costs for one box whose features have `channels` channels."""
        from search_spaces.cost import part_cost

        return part_cost(lambda: self.build(channels), self.takes, [(1, channels), (1, 4)])


class ObjectRelation(Relation):
    """To each box what several relations read from all boxes, by how alike they are and how they lie to each other.

    Args:
        relations: Groups of channels, each with a relation of its own; they divide the channels. Range worth
            searching: 1 to 16.
        key: Numbers, a relation, whose product says how alike two boxes are.

    Paper: Hu et al., 2017, arXiv 1711.11575, section 3, equations 2 to 6, and algorithm 1.
    Deviation: The geometric weight is at least 1e-6, as in the authors' code, so that a box always reads something.
    """

    kind: Literal["object_relation"] = "object_relation"
    relations: Hole[Size] = 16
    key: Hole[Size] = 64

    def check_channels(self, channels: int) -> None:
        """Refuses channels that the relations do not divide."""
        must_divide(self.relations, channels, "relations divide the channels of the features", "relations")

    def build(self, channels: int) -> nn.Module:
        """Returns the module for features of `channels` channels.

        Raises:
            SpecError: The relations do not divide them.
        """
        from search_spaces.networks.relation import ObjectRelationModule

        self.check_channels(channels)
        return ObjectRelationModule(self, channels)
