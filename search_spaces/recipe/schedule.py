"""Learning rate over training: a warmup, then a schedule over the steps that are left."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole

Share = Annotated[float, Field(ge=0, le=1)]


class Schedule(Trick):
    """The factor on the optimizer's rate, a function of the share of steps taken since the warmup."""


class Constant(Schedule):
    """The optimizer's rate throughout."""

    kind: Literal["constant"] = "constant"


class Cosine(Schedule):
    """Half a cosine from the optimizer's rate down to `final` times it.

    Paper: Loshchilov and Hutter, SGDR, 2017, 1608.03983, equation 5 without restarts.
    """

    kind: Literal["cosine"] = "cosine"
    final: Hole[Share] = 0.0


class Warmup(Trick):
    """The factor on the optimizer's rate over the first epochs."""


class GradualWarmup(Warmup):
    """Grows the rate in equal steps from `start` times the optimizer's rate to all of it.

    Paper: Goyal et al., Accurate, Large Minibatch SGD, 2017, 1706.02677, section 2.2.
    """

    kind: Literal["gradual_warmup"] = "gradual_warmup"
    epochs: Hole[Annotated[float, Field(ge=0)]] = 1.0
    start: Hole[Share] = 0.1
