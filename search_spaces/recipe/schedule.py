"""Learning rate over training: scaled to the batch, a warmup, then a schedule over the steps that are left."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from search_spaces.domains import Categorical, Float, Integer
from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole

Share = Annotated[float, Field(ge=0, le=1)]
Final = Annotated[Share, Float(0.0, 0.1)]
Factor = Annotated[float, Field(gt=0, lt=1), Float(0.1, 0.5)]
MILESTONES: Categorical[Any] = Categorical({"half": (0.5, 0.75), "thirds": (1 / 3, 2 / 3, 8 / 9), "late": (0.8, 0.9)})


class Schedule(Trick):
    """The factor on the optimizer's rate after the warmup."""


class Constant(Schedule):
    """The optimizer's rate throughout.

    Paper: Rumelhart et al., Learning representations by back-propagating errors, 1986, equation 8.
    """

    kind: Literal["constant"] = "constant"


class Cosine(Schedule):
    """Half a cosine from the optimizer's rate down to `final` times it.

    Paper: Loshchilov and Hutter, SGDR, 2017, 1608.03983, equation 5 without restarts.
    """

    kind: Literal["cosine"] = "cosine"
    final: Hole[Final] = 0.0


class CosineRestarts(Schedule):
    """`cycles` cosines, each `growth` times as long as the one before, which together last as long as training.

    Paper: Loshchilov and Hutter, SGDR, 2017, 1608.03983, equation 5.
    """

    kind: Literal["cosine_restarts"] = "cosine_restarts"
    cycles: Hole[Annotated[int, Field(ge=1), Integer(2, 4)]] = 2
    growth: Hole[Annotated[float, Field(ge=1), Float(1.0, 2.0)]] = 2.0
    final: Hole[Final] = 0.0


class StepDecay(Schedule):
    """Multiplies the rate by `gamma` every `epochs`.

    Paper: Goyal et al., Accurate, Large Minibatch SGD, 2017, 1706.02677, section 5.1 (0.1 at epochs 30, 60 and 80).
    """

    kind: Literal["step_decay"] = "step_decay"
    epochs: Hole[Annotated[float, Field(gt=0), Float(1.0, 100.0)]] = 30.0
    gamma: Hole[Factor] = 0.1


class MultiStepDecay(Schedule):
    """Multiplies the rate by `gamma` at each of the `milestones`, shares of the steps since the warmup.

    Paper: He et al., Deep Residual Learning, 2016, 1512.03385, section 4.2 (0.1 at 32k and 48k of 64k steps).
    """

    kind: Literal["multi_step_decay"] = "multi_step_decay"
    milestones: Hole[Annotated[tuple[Share, ...], MILESTONES]] = (0.5, 0.75)
    gamma: Hole[Factor] = 0.1


class Plateau(Schedule):
    """Multiplies the rate by `gamma` after `patience` reports since the warmup without an improvement of `metric`.

    Improvements are by more than `min_delta`; patience starts anew after each drop.

    Paper: He et al., Deep Residual Learning, 2016, 1512.03385, section 3.4 (0.1 when the error plateaus).
    """

    kind: Literal["plateau"] = "plateau"
    metric: Annotated[str, Field(pattern="^(train|val)/")] = "val/loss"
    gamma: Hole[Factor] = 0.1
    patience: Hole[Annotated[int, Field(ge=1), Integer(2, 10)]] = 10
    min_delta: Hole[Annotated[float, Field(ge=0)]] = 1e-4


class Warmup(Trick):
    """The factor on the optimizer's rate over the first steps."""


class GradualWarmup(Warmup):
    """Grows the rate in equal steps from `start` times the optimizer's rate to all of it.

    A rate that is to grow m-fold from a base rate is a `start` of 1 / m under m times the base rate.

    Paper: Goyal et al., Accurate, Large Minibatch SGD, 2017, 1706.02677, section 2.2.
    """

    kind: Literal["gradual_warmup"] = "gradual_warmup"
    epochs: Hole[Annotated[float, Field(ge=0), Float(0.0, 10.0)]] = 5.0
    start: Hole[Annotated[Share, Float(1 / 32, 1.0)]] = 0.1


class ConstantWarmup(Warmup):
    """`factor` times the optimizer's rate for `iterations`, or until a report whose training error is below `error`.

    Paper: He et al., Deep Residual Learning, 2016, 1512.03385, section 4.2 (0.1; 400 iterations; 80 % error).
    """

    kind: Literal["constant_warmup"] = "constant_warmup"
    factor: Hole[Annotated[float, Field(gt=0, le=1), Float(0.01, 0.3)]] = 0.1
    iterations: Hole[Annotated[int, Field(ge=0), Integer(50, 400, step=50)]] = 400
    error: Hole[Annotated[Annotated[float, Field(gt=0, le=1)] | None, Categorical((None, 0.8))]] = None


class RateScaling(Trick):
    """Takes the optimizer's rate as that of `reference` examples a batch, and scales it to the batch in use.

    Paper: Goyal et al., 2017, 1706.02677, section 2.1 (`linear`); Krizhevsky, 2014, 1404.5997, section 5 (`sqrt`).
    """

    kind: Literal["rate_scaling"] = "rate_scaling"
    rule: Hole[Literal["linear", "sqrt"]] = "linear"
    reference: Hole[Annotated[int, Field(ge=1), Categorical((64, 128, 256))]] = 256
