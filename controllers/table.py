"""What a controller keeps of trials that have not ended: proposals, pending trials, and what repeats what."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from controllers.history import Record
from controllers.objective import Constraint, Objective, Scores, violation
from controllers.state import State
from controllers.trial import Inherit, Mode, Outcome, Status, Trial
from search_spaces.candidate import Candidate
from search_spaces.space import Space

Key = tuple[str, int, Mode, str | None, Inherit]


@dataclass(frozen=True)
class Proposal:
    """What a controller wants evaluated.

    Args:
        candidate: A candidate of the space.
        memo: A state tree that comes back with the outcome, such as log-probabilities.
        fidelity: Reports to run to; None for the search's own.
        parent_id: As in `Trial`, like the three that follow.
        inherit: What is taken from the parent.
        mode: What kind of evaluation.
        group: Given where the proposal is one more repeat of an earlier one.
    """

    candidate: Candidate
    memo: State | None = None
    fidelity: int | None = None
    parent_id: str | None = None
    inherit: Inherit = "none"
    mode: Mode = "train"
    group: str | None = None

    def to_data(self) -> State:
        """Return a state tree, the inverse of `from_data`."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {
            "candidate": self.candidate.to_json()
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any], space: Space) -> Proposal:
        """Return the proposal that `to_data` described.

        Args:
            data: The state tree.
            space: In whose order the paths of the candidate stand; JSON sorts them.
        """
        found = Candidate.from_json(data["candidate"])
        return cls(**{**data, "candidate": found if data["mode"] == "supernet" else space.candidate(found)})


@dataclass
class Pending:
    """A trial that was asked and not told.

    Args:
        trial: The trial.
        memo: What the proposal attached.
        series: Metric -> its value at every report, for the metrics that count.
        step: The last report.
        stopped: Whether it was told to stop.
    """

    trial: Trial
    memo: State | None
    series: dict[str, list[float]] = field(default_factory=dict)
    step: int = 0
    stopped: bool = False

    @property
    def compared(self) -> bool:
        """Whether a pruner compares it with others: the figures of a supernet are of another sort."""
        return self.trial.mode != "supernet"

    def note(self, step: int, metrics: Mapping[str, float], watched: Iterable[str]) -> None:
        """Take in a report."""
        self.step = step
        for name in watched:
            if name in metrics:
                self.series.setdefault(name, []).append(float(metrics[name]))

    def _told(self, objective: Objective, outcome: Outcome) -> float:
        # From the reports, else from the outcome's metrics, else not a number.
        reports = self.series.get(objective.metric)
        if reports is None or objective.of == "last":
            last = outcome.metrics.get(objective.metric)
            reports = reports if last is None else [last]
        return math.nan if reports is None else objective.told(reports)

    def scores(self, objectives: Sequence[Objective]) -> Scores:
        """Return what the reports so far are worth, greater is better; what is not a number is worst."""
        told = [objective.score(objective.told(self.series[objective.metric])) for objective in objectives]
        return tuple(-math.inf if math.isnan(score) else score for score in told)

    def record(self, outcome: Outcome, objectives: Sequence[Objective], constraints: Sequence[Constraint]) -> Record:
        """Return what is recorded when the trial ends with `outcome`."""
        values: tuple[float, ...] | None = None
        if outcome.status in (Status.COMPLETED, Status.PRUNED):
            values = tuple(self._told(objective, outcome) for objective in objectives)
            bad = [o.metric for o, value in zip(objectives, values, strict=True) if not math.isfinite(value)]
            if bad and self.trial.mode == "proxy":
                # It says something else than what is wanted.
                values = None
            elif bad:
                reason = f"no finite value of objective {bad[0]!r}"
                values, outcome = None, replace(outcome, status=Status.FAILED, reason=reason)
        metrics = {name: series[-1] for name, series in self.series.items()} | dict(outcome.metrics)
        feasible = outcome.status is not Status.INFEASIBLE and violation(constraints, metrics) is None
        return Record(self.trial, outcome, values, feasible)

    def to_data(self) -> State:
        """Return a state tree, the inverse of `from_data`."""
        series = {name: list(values) for name, values in self.series.items()}
        kept = {"memo": self.memo, "series": series, "step": self.step, "stopped": self.stopped}
        return {"trial": self.trial.to_data(), **kept}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Pending:
        """Return the pending trial that `to_data` described."""
        series = {name: list(values) for name, values in data["series"].items()}
        return cls(**{**data, "trial": Trial.from_data(data["trial"]), "series": series})


class Originals:
    """The first trial of each evaluation: canonical candidate, fidelity, and what it starts from.

    Args:
        space: Whose canonical form tells candidates apart.
        fidelity: Of proposals that name none.
    """

    def __init__(self, space: Space, fidelity: int) -> None:
        self._space = space
        self._fidelity = fidelity
        self._evaluations: dict[Key, list[str]] = {}
        self._drawn: dict[str, int] = {}
        self._last: tuple[Candidate, str] | None = None

    @property
    def candidates(self) -> int:
        """Number of different candidates among all trials but proxies."""
        return len(self._drawn)

    def of(self, item: Proposal | Trial) -> str | None:
        """Return the trial that evaluates what `item` would, or None; no supernet is like another."""
        if item.mode == "supernet":
            return None
        found = self._evaluations.get(self._key(item))
        return found[0] if found else None

    def lack(self, proposal: Proposal, used_up: bool) -> bool:
        """Tell whether an evaluation would be the first of its kind.

        Args:
            proposal: What would be evaluated. A supernet always is, as long as it could find what nobody has evaluated.
            used_up: Whether all candidates were.
        """
        return not used_up if proposal.mode == "supernet" else self.of(proposal) is None

    def add(self, trial: Trial) -> None:
        """Take in a trial that was asked; a supernet is no candidate."""
        if trial.mode == "supernet":
            return
        if trial.same_as is None:
            self._evaluations.setdefault(self._key(trial), []).append(trial.trial_id)
        if trial.mode != "proxy":
            self._drawn[trial.candidate.id] = self._drawn.get(trial.candidate.id, 0) + 1

    def forget(self, trial: Trial) -> None:
        """Let what a cancelled trial should have evaluated be evaluated by another."""
        if trial.mode == "supernet":
            return
        if trial.same_as is None:
            self._evaluations[self._key(trial)].remove(trial.trial_id)
        if trial.mode == "proxy":
            return
        self._drawn[trial.candidate.id] -= 1
        if not self._drawn[trial.candidate.id]:
            del self._drawn[trial.candidate.id]

    def _key(self, item: Proposal | Trial) -> Key:
        fidelity = self._fidelity if item.fidelity is None else item.fidelity
        # A candidate is asked about several times in a row, and its canonical form may take a while.
        if self._last is None or self._last[0] is not item.candidate:
            self._last = item.candidate, self._space.canonical(item.candidate).id
        return self._last[1], fidelity, item.mode, item.parent_id, item.inherit
