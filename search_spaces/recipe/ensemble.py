"""What several networks predict together."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.recipe.distillation import DENSE, Teacher
from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole


class Ensemble(Trick):
    """Asks `members` beside the network that is trained; figures, final test and pictures are of all together.

    Training itself is not changed. `mean` is of probabilities, `logits` of logits, `rank` of the places of the classes
    in each member's order. Range worth searching: all three averages; two to ten members.

    Paper: Hinton et al., Distilling the Knowledge in a Neural Network, 2015, 1503.02531, section 1 (averaging the
        predictions of many models).
    """

    tasks: ClassVar[frozenset[str]] = DENSE

    kind: Literal["ensemble"] = "ensemble"
    members: Hole[Annotated[tuple[Teacher, ...], Field(min_length=1)]]
    average: Hole[Literal["mean", "logits", "rank"]] = "mean"
