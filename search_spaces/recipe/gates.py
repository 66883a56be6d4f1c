"""How a network of dynamic depth learns to be shallow."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.domains import Float
from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole


class GateLoss(Trick):
    """What open gates cost beside the loss of the task."""

    tasks: ClassVar[frozenset[str]] = frozenset({"classification"})


class TargetRate(GateLoss):
    """The squared distance of each gate's rate over a batch from a target, averaged over gates, times `weight`.

    Args:
        rate: Share of the examples for which a gate is to be open.
        weight: What the distance is multiplied by.

    Paper: Veit and Belongie, Convolutional Networks with Adaptive Inference Graphs, 2017, 1711.11503, section 3.3.
    """

    kind: Literal["target_rate"] = "target_rate"
    rate: Hole[Annotated[float, Field(ge=0, le=1), Float(0.4, 0.9)]] = 0.6
    weight: Hole[Annotated[float, Field(ge=0), Float(0.5, 4.0)]] = 2.0


class SkipPenalty(GateLoss):
    """The share of the multiply-adds of all gated units that an example goes through, times `weight`.

    Args:
        weight: What the share is multiplied by.

    Paper: Wang et al., SkipNet, 2017, 1711.09485, section 3.2, equation 3.
    Deviation: The expected cost is followed down its straight-through gradient, not by reinforcement.
    """

    kind: Literal["skip_penalty"] = "skip_penalty"
    weight: Hole[Annotated[float, Field(ge=0), Float(0.01, 1.0, log=True)]] = 0.1
