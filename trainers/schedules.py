"""The learning rate as a function of the step and of the reports so far, which are all there is to save."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search_spaces.recipe import (
    Constant,
    ConstantWarmup,
    Cosine,
    CosineRestarts,
    GradualWarmup,
    MultiStepDecay,
    Plateau,
    RateScaling,
    Recipe,
    StepDecay,
)
from trainers.tricks.registry import implementation, implements
from trainers.tricks.stopping import signed

_ACCURACY = "train/accuracy"


@dataclass(frozen=True)
class Position:
    """Where training is: for a warmup since its beginning, for a schedule since the end of the warmup.

    Args:
        step: Steps taken.
        steps: Steps in all.
        steps_per_epoch: Turns steps into epochs.
        reports: Metrics of the reports, in order, each with the step behind which it was made as `step`.
    """

    step: int
    steps: int
    steps_per_epoch: int
    reports: Sequence[Mapping[str, float]] = ()

    @property
    def share(self) -> float:
        """Steps taken over steps in all, in [0, 1]."""
        return self.step / max(1, self.steps)

    @property
    def epoch(self) -> float:
        """Epochs taken, a fraction too."""
        return self.step / self.steps_per_epoch


@implements(Constant)
def constant(spec: Constant, at: Position) -> float:
    """Returns 1."""
    return 1.0


@implements(Cosine)
def cosine(spec: Cosine, at: Position) -> float:
    """Returns the cosine's factor.

    Paper: Loshchilov and Hutter, 2017, 1608.03983, equation 5.
    """
    return _cosine(at.share, spec.final)


@implements(CosineRestarts)
def cosine_restarts(spec: CosineRestarts, at: Position) -> float:
    """Returns the factor of the cosine that training is in.

    Paper: Loshchilov and Hutter, 2017, 1608.03983, equation 5.
    """
    lengths = [spec.growth**cycle for cycle in range(spec.cycles)]
    left = at.share * sum(lengths)
    for length in lengths[:-1]:
        # Steps are whole and lengths are not: what is short of a beginning by rounding alone is there.
        if left < length * (1 - 1e-12):
            return _cosine(left / length, spec.final)
        left = max(0.0, left - length)
    return _cosine(min(1.0, left / lengths[-1]), spec.final)


def _cosine(share: float, final: float) -> float:
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * share))


@implements(StepDecay)
def step_decay(spec: StepDecay, at: Position) -> float:
    """Returns `spec.gamma` to the number of periods that are over."""
    return spec.gamma ** math.floor(at.epoch / spec.epochs)


@implements(MultiStepDecay)
def multi_step_decay(spec: MultiStepDecay, at: Position) -> float:
    """Returns `spec.gamma` to the number of milestones that are reached."""
    return spec.gamma ** sum(at.share >= milestone for milestone in spec.milestones)


@implements(Plateau)
def plateau(spec: Plateau, at: Position) -> float:
    """Returns `spec.gamma` to the number of times that patience ran out.

    Raises:
        ValueError: Reports do not have the metric.
    """
    best, waited, drops = -math.inf, 0, 0
    for report in at.reports:
        value = signed(report, spec.metric, "schedule")
        if value > best + spec.min_delta:
            best, waited = value, 0
        else:
            waited += 1
        if waited >= spec.patience:
            waited, drops = 0, drops + 1
    return spec.gamma**drops


@implements(GradualWarmup)
def gradual_warmup(spec: GradualWarmup, at: Position) -> float | None:
    """Returns the line's factor, None once it has reached 1.

    Paper: Goyal et al., 2017, 1706.02677, section 2.2.
    """
    return None if at.epoch >= spec.epochs else spec.start + (1 - spec.start) * at.epoch / spec.epochs


@implements(ConstantWarmup)
def constant_warmup(spec: ConstantWarmup, at: Position) -> float | None:
    """Returns the constant, None once its iterations are over or the training error is low enough.

    Raises:
        ValueError: An error is waited for in a task without training accuracy.
    """
    if at.step >= spec.iterations:
        return None
    if spec.error is not None:
        for report in at.reports:
            if 1 - signed(report, _ACCURACY, "warmup") < spec.error and report["step"] <= at.step:
                return None
    return spec.factor


@implements(RateScaling)
def rate_scaling(spec: RateScaling, batch_size: int) -> float:
    """Returns the factor on the rate of the reference batch.

    Paper: Goyal et al., 2017, 1706.02677, section 2.1.
    """
    ratio = batch_size / spec.reference
    return ratio if spec.rule == "linear" else math.sqrt(ratio)


@dataclass
class RateFactor:
    """The factor on the optimizer's rate, called with the steps already taken.

    Args:
        recipe: Holds schedule, warmup and scaling.
        steps: Of the whole training.
        steps_per_epoch: Turns steps into epochs.
    """

    recipe: Recipe
    steps: int
    steps_per_epoch: int
    reports: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        recipe = self.recipe
        self._schedule = implementation(recipe.schedule)
        self._warmup = (lambda at: None) if recipe.warmup is None else implementation(recipe.warmup)
        self._start = self.steps
        self._scale = 1.0 if recipe.scaling is None else implementation(recipe.scaling)(recipe.batch_size)
        self._settle(0)

    def __call__(self, step: int) -> float:
        """Returns the factor."""
        warm: float | None = self._warmup(self._at(step, 0, self.reports))
        if warm is not None:
            return self._scale * warm
        cold: float = self._schedule(self._at(step, self._start, self._since))
        return self._scale * cold

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes in a report.

        Args:
            step: Steps taken by then.
            metrics: Its metrics.
        """
        kept = {name: value for name, value in metrics.items() if name.startswith(("train/", "val/"))}
        self.reports.append({"step": step, **kept})
        self._settle(step)

    def state_dict(self) -> dict[str, Any]:
        """Returns the reports so far."""
        return {"reports": [dict(report) for report in self.reports]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts them back."""
        self.reports = [dict(report) for report in state["reports"]]
        self._start = self.steps
        self._settle(0)

    def _settle(self, step: int) -> None:
        """Finds the first step, from `step` on, that is no warmup, unless it is known, and the reports behind it."""
        if self._start > step or not self.reports:
            left = range(step, self.steps)
            over = (s for s in left if self._warmup(self._at(s, 0, self.reports)) is None)
            self._start = next(over, self.steps)
        # What was trained in the warmup alone says nothing of the schedule.
        self._since = [report for report in self.reports if report["step"] > self._start]

    def _at(self, step: int, start: int, reports: Sequence[Mapping[str, float]]) -> Position:
        return Position(step - start, self.steps - start, self.steps_per_epoch, reports)


def rate_factor(recipe: Recipe, steps: int, steps_per_epoch: int) -> RateFactor:
    """Returns the factor on the optimizer's rate; arguments as those of `RateFactor`."""
    return RateFactor(recipe, steps, steps_per_epoch)
