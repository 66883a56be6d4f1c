"""Who is stopped early: the median rule and asynchronous successive halving, stop-only.

A pruner sees every report in the order of the journal. Its scores are tuples, compared by dominance: with one
objective that is the usual order.
"""

from __future__ import annotations

import bisect
import math
from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from controllers.objective import Scores, dominates
from controllers.state import State
from controllers.trial import Verdict
from search_spaces.errors import unknown
from search_spaces.spec import Spec


class PrunerConfig(Spec):
    """What a search file says about early stopping."""


class MedianConfig(PrunerConfig):
    """Stops a trial whose best value so far is worse than the median of what the completed ones averaged by then.

    Args:
        startup: Number of completed trials before anything is stopped.
        warmup: Number of steps that every trial may run.
    """

    kind: Literal["median"] = "median"
    startup: Annotated[int, Field(ge=1)] = 5
    warmup: Annotated[int, Field(ge=0)] = 0


class AshaConfig(PrunerConfig):
    """Stops a trial that is not among the best 1/factor that have reached the same rung.

    Args:
        grace: The first rung, in steps; the others are `grace * factor**k`.
        factor: One in this many goes on.
    """

    kind: Literal["asha"] = "asha"
    grace: Annotated[int, Field(ge=1)] = 1
    factor: Annotated[int, Field(ge=2)] = 4


class Pruner(ABC):
    """Judges reports.

    Args:
        config: Its settings.
        fidelity: Steps of a full trial.
    """

    config_type: ClassVar[type[PrunerConfig]]

    def __init__(self, config: PrunerConfig, fidelity: int) -> None:
        self.config: Any = config
        self.fidelity = fidelity

    @abstractmethod
    def report(self, trial_id: str, step: int, scores: Scores) -> Verdict:
        """Take in what a trial is worth at a step, and say whether it goes on.

        Args:
            trial_id: The trial.
            step: Number of its reports, from 1.
            scores: Its value so far in each objective, greater is better.
        """

    def told(self, trial_id: str, completed: bool) -> None:  # noqa: B027  (a pruner may keep nothing a trial)
        """Take in that a trial has ended."""

    @abstractmethod
    def get_state(self) -> State:
        """Return all that was learned from reports."""

    @abstractmethod
    def set_state(self, state: State) -> None:
        """Take on what `get_state` returned."""


class MedianPruner(Pruner):
    """The median stopping rule: best so far against the median of running averages.

    Paper: Golovin et al., 2017, Google Vizier, section 3.2.1.
    """

    config_type = MedianConfig

    def __init__(self, config: PrunerConfig, fidelity: int) -> None:
        super().__init__(config, fidelity)
        self._running: dict[str, list[float]] = {}
        self._steps: dict[str, list[int]] = {}
        self._averages: dict[int, list[float]] = {}
        self._completed = 0

    def report(self, trial_id: str, step: int, scores: Scores) -> Verdict:
        """See `Pruner.report`."""
        (score,) = scores
        values = self._running.setdefault(trial_id, [])
        values.append(score)
        self._steps.setdefault(trial_id, []).append(step)
        others = self._averages.get(step, [])
        judged = step > self.config.warmup and step < self.fidelity and self._completed >= self.config.startup
        if judged and others and max(values) < _median(others):
            return Verdict.STOP
        return Verdict.CONTINUE

    def told(self, trial_id: str, completed: bool) -> None:
        """See `Pruner.told`."""
        values, steps = self._running.pop(trial_id, []), self._steps.pop(trial_id, [])
        if completed:
            self._completed += 1
            for i, step in enumerate(steps):
                bisect.insort(self._averages.setdefault(step, []), math.fsum(values[: i + 1]) / (i + 1))

    def get_state(self) -> State:
        """See `Pruner.get_state`."""
        return {
            "completed": self._completed,
            "running": {trial: list(values) for trial, values in self._running.items()},
            "steps": {trial: list(steps) for trial, steps in self._steps.items()},
            "averages": {str(step): list(values) for step, values in self._averages.items()},
        }

    def set_state(self, state: State) -> None:
        """See `Pruner.set_state`."""
        self._completed = state["completed"]
        self._running = {trial: list(values) for trial, values in state["running"].items()}
        self._steps = {trial: list(steps) for trial, steps in state["steps"].items()}
        self._averages = {int(step): list(values) for step, values in state["averages"].items()}


class AshaPruner(Pruner):
    """Asynchronous successive halving that stops and never pauses.

    A trial that reaches a rung goes on if fewer than max(1, n // factor) of the n trials seen there are better.

    Paper: Li et al., 2020, arXiv 1810.05934, algorithm 2.
    Deviation: what is stopped is not promoted later, so that no trial waits; the first trials therefore go further
        than they would.
    """

    config_type = AshaConfig

    def __init__(self, config: PrunerConfig, fidelity: int) -> None:
        super().__init__(config, fidelity)
        rungs = []
        step = self.config.grace
        while step < fidelity:
            rungs.append(step)
            step *= self.config.factor
        self.rungs: tuple[int, ...] = tuple(rungs)
        self._seen: dict[int, dict[str, Scores]] = {rung: {} for rung in rungs}
        self._ordered: dict[int, list[float]] = {rung: [] for rung in rungs}  # of one objective, ascending

    def report(self, trial_id: str, step: int, scores: Scores) -> Verdict:
        """See `Pruner.report`."""
        verdict = Verdict.CONTINUE
        for rung in self.rungs:
            seen = self._seen[rung]
            if rung > step:
                break
            if trial_id in seen:
                continue
            better = self._better(rung, scores)
            self._take(rung, trial_id, scores)
            if better >= max(1, len(seen) // self.config.factor):
                verdict = Verdict.STOP
        return verdict

    def _better(self, rung: int, scores: Scores) -> int:
        """How many of those seen at a rung are better; of one objective this is a look at an ordered list."""
        if len(scores) == 1:
            return len(self._ordered[rung]) - bisect.bisect_right(self._ordered[rung], scores[0])
        return sum(dominates(other, scores) for other in self._seen[rung].values())

    def _take(self, rung: int, trial_id: str, scores: Scores) -> None:
        self._seen[rung][trial_id] = scores
        if len(scores) == 1:
            bisect.insort(self._ordered[rung], scores[0])

    def get_state(self) -> State:
        """See `Pruner.get_state`."""
        return {str(rung): {trial: list(s) for trial, s in seen.items()} for rung, seen in self._seen.items()}

    def set_state(self, state: State) -> None:
        """See `Pruner.set_state`."""
        self._seen, self._ordered = {rung: {} for rung in self.rungs}, {rung: [] for rung in self.rungs}
        for rung in self.rungs:
            for trial_id, scores in state.get(str(rung), {}).items():
                self._take(rung, trial_id, tuple(scores))


PRUNERS: tuple[type[Pruner], ...] = (MedianPruner, AshaPruner)


def make_pruner(config: PrunerConfig, fidelity: int) -> Pruner:
    """Return the pruner that `config` describes.

    Args:
        config: Its settings.
        fidelity: Steps of a full trial.
    """
    for pruner in PRUNERS:
        if type(config) is pruner.config_type:
            return pruner(config, fidelity)
    raise unknown("pruner", type(config).__name__, (pruner.config_type.__name__ for pruner in PRUNERS), "pruner")


def _median(ordered: list[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
