"""What training minimizes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole


class LabelSmoothing(Trick):
    """Moves `epsilon` of a target from its class to others.

    `uniform` spreads it over all K classes (epsilon / K each), `others` over the wrong ones (epsilon / (K - 1) each).

    Paper: Szegedy et al., Rethinking the Inception Architecture, 2016, 1512.00567, section 7.
    """

    kind: Literal["label_smoothing"] = "label_smoothing"
    epsilon: Hole[Annotated[float, Field(ge=0, lt=1)]] = 0.1
    variant: Hole[Literal["uniform", "others"]] = "uniform"
