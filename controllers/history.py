"""What has been told, in that order: records, what duplicates what, the best, and the front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from controllers.objective import Objective, Scores, pareto_front
from controllers.trial import Outcome, Status, Trial, TrialError


@dataclass(frozen=True)
class Record:
    """A trial that has ended.

    Args:
        trial: What was asked.
        outcome: What came back; FAILED where an objective has no finite value.
        values: The told value of each objective, or None where there is none.
        feasible: Whether it keeps all constraints.
    """

    trial: Trial
    outcome: Outcome
    values: tuple[float, ...] | None
    feasible: bool

    @property
    def ranked(self) -> bool:
        """Whether it may be the best: completed, feasible, no copy of another, and not all choices at once."""
        outcome = self.outcome
        done = outcome.status is Status.COMPLETED and outcome.source == "run" and self.trial.mode != "supernet"
        return done and self.feasible and self.values is not None

    def to_data(self) -> dict[str, Any]:
        """Return a JSON-able dict, the inverse of `from_data`."""
        return {
            "trial": self.trial.to_data(),
            "outcome": self.outcome.to_data(),
            "values": None if self.values is None else list(self.values),
            "feasible": self.feasible,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Record:
        """Return the record that `to_data` described."""
        values = None if data["values"] is None else tuple(data["values"])
        return cls(Trial.from_data(data["trial"]), Outcome.from_data(data["outcome"]), values, data["feasible"])


class History:
    """Records in tell order; repeats of one candidate count as their mean.

    Args:
        objectives: What is wanted, the first deciding the best.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self.records: dict[str, Record] = {}
        self._objectives = tuple(objectives)
        self._groups: dict[str, list[Record]] = {}
        self._best: str | None = None
        self._front: list[str] | None = []  # None: to be found anew

    def __len__(self) -> int:
        return len(self.records)

    def add(self, record: Record) -> None:
        """Take in one more record."""
        self.records[record.trial.trial_id] = record
        if not record.ranked:
            return
        group = record.trial.group or record.trial.trial_id
        self._front = None if group in self._groups else self._with(group, record)
        self._groups.setdefault(group, []).append(record)
        if self._best == group:
            # Another repeat may have made the best one worse than others.
            self._best = max(self._groups, key=self._order)
        elif self._best is None or self._order(group) > self._order(self._best):
            self._best = group

    def copied(self, trial: Trial, outcome: Outcome) -> Record:
        """Return the record of a duplicate: its original's, with its own outcome.

        Args:
            trial: The duplicate.
            outcome: Its outcome, with `source="cache"`.

        Raises:
            TrialError: The original has not been told, or the outcome does not come from the cache.
        """
        original = self.records.get(trial.same_as or "")
        if original is None or outcome.source != "cache":
            rule = f"a duplicate of {trial.same_as} is told after it, its outcome with source='cache'"
            raise TrialError(f"{trial.trial_id}: {rule}; got source={outcome.source!r}")
        copied = replace(outcome, status=original.outcome.status, reason=original.outcome.reason)
        return Record(trial, copied, original.values, original.feasible)

    @property
    def best(self) -> str | None:
        """The trial whose candidate has the best first objective, the earliest asked of equals."""
        return None if self._best is None else self._first(self._best).trial_id

    @property
    def pareto_front(self) -> tuple[str, ...]:
        """The trials whose candidates no other dominates, in ask order; of equals the earliest asked."""
        if self._front is None:
            groups = sorted(self._groups, key=lambda group: self._first(group).number)
            self._front = [groups[i] for i in pareto_front([self.scores(group) for group in groups])]
        return tuple(sorted((self._first(group).trial_id for group in self._front), key=self._number))

    def scores(self, group: str) -> Scores:
        """Return the mean scores of a group of repeats, or of a trial alone, that has been ranked."""
        rows = [record.values for record in self._groups[group] if record.values is not None]
        means = [math.fsum(column) / len(column) for column in zip(*rows, strict=True)]
        return tuple(objective.score(mean) for objective, mean in zip(self._objectives, means, strict=True))

    def ranks(self, group: str) -> bool:
        """Tell whether a group of repeats, or a trial alone, has been ranked."""
        return group in self._groups

    def _with(self, group: str, record: Record) -> list[str] | None:
        """The front once a first repeat of a group is told, so that no told trial has to be looked at again."""
        if self._front is None or record.values is None:
            return None
        mine = tuple(goal.score(value) for goal, value in zip(self._objectives, record.values, strict=True))
        front = []
        for other in self._front:
            its = self.scores(other)
            if its == mine and self._first(other).number > record.trial.number:
                continue
            if all(a >= b for a, b in zip(its, mine, strict=True)):
                return self._front
            if not all(a <= b for a, b in zip(its, mine, strict=True)):
                front.append(other)
        return [*front, group]

    def _number(self, trial_id: str) -> int:
        return self.records[trial_id].trial.number

    def _first(self, group: str) -> Trial:
        return min((record.trial for record in self._groups[group]), key=lambda trial: trial.number)

    def _order(self, group: str) -> tuple[float, int]:
        return self.scores(group)[0], -self._first(group).number
