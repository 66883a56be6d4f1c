"""Which training rows weights learn from, and which an architecture."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.domains import Float
from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole


class SeparateSplits(Trick):
    """Learns weights from `share` of the training rows; the others are for the weights of an architecture alone.

    Those learn from `start` of training on. Rows are held back where an architecture learns, in a supernet, alone: what
    is found there, and any other network, learns from all training rows.

    Paper: Liu et al., Auto-DeepLab, 2019, 1901.02985, section 4.2 (halves; from epoch 20 of 40).
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"classification"})

    kind: Literal["separate_splits"] = "separate_splits"
    share: Hole[Annotated[float, Field(gt=0, lt=1), Float(0.5, 0.8)]] = 0.5
    start: Hole[Annotated[float, Field(ge=0, le=1), Float(0.0, 0.5)]] = 0.5
