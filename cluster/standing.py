"""Where a search stands, read from its journal: what the terminal, `show` and the report tell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.history import RUNNING, History, TrialRow
from cluster.journal import JournalReader, Record
from cluster.lock import alive
from cluster.storage import Storage
from controllers.history import History as Judged
from controllers.history import Record as Judgement
from controllers.objective import Constraint, Objective, violation
from controllers.trial import Outcome, Status, Trial


@dataclass(frozen=True)
class FailureGroup:
    """Trials that failed alike: how many, what was said, and one of them."""

    count: int
    reason: str
    trial_id: str


@dataclass(frozen=True)
class State:
    """What a search does now: the driver that lives runs trials; one that is gone has left them.

    Args:
        counts: Trials by status, as `Standing.counts`; those left are not among them.
        running: Trials that run.
        left: Trials that were running when the driver ended; a resume goes on with them.
        reason: Why the search ended; None: it has not.
    """

    counts: dict[str, int]
    running: int
    left: int
    reason: str | None

    def __str__(self) -> str:
        if self.running:
            return f"running {self.running}"
        return (self.reason or "not ended") + (f"; {self.left} to go on" if self.left else "")

    @property
    def trials(self) -> str:
        """The counts as text, empty without a trial."""
        return ", ".join(f"{count} {status}" for status, count in sorted(self.counts.items()))


class Standing:
    """The state of a search, as far as its journal tells.

    Args:
        storage: The storage of the run.
        objectives: What is better; the first decides.
        constraints: What a feasible candidate keeps to.
    """

    def __init__(
        self, storage: Storage, objectives: Sequence[Objective], constraints: Sequence[Constraint] = ()
    ) -> None:
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        self.history = History(keep=[objective.metric for objective in objectives])
        self.seconds = 0.0
        self.reason: str | None = None
        self.finals: dict[str, dict[str, float]] = {}
        self._storage = storage
        self._reader = JournalReader(storage)
        self._trials: dict[str, Trial] = {}
        self._judged = Judged(self.objectives)

    def update(self) -> list[TrialRow]:
        """Reads what is new; returns the trials that were told since the last call."""
        return list(self.follow())

    def follow(self) -> Iterator[TrialRow]:
        """Reads what is new, and yields each trial that was told as things stood then."""
        for record in self._reader.poll():
            row = self.take(record)
            if record.kind == "told" and row is not None:
                yield row

    def take(self, record: Record) -> TrialRow | None:
        """Takes one record in, for a reader that reads the journal itself; returns the trial it has news of."""
        row = self.history.apply(record)
        if record.kind == "told" and row is not None:
            self._judge(row, Outcome.from_data(record.fields["outcome"]))
        elif record.kind == "asked":
            self._trials |= {data["trial_id"]: Trial.from_data(data) for data in record.fields["trials"]}
            self.reason = None
        elif record.kind == "started":
            self.reason = None
        elif record.kind == "clock":
            self.seconds = float(record.fields["seconds"])
        elif record.kind == "final":
            self.finals[record.fields["trial"]] = dict(record.fields["metrics"])
        elif record.kind == "end":
            self.reason = str(record.fields["reason"])
        return row

    @property
    def rows(self) -> list[TrialRow]:
        """All trials, in ask order."""
        return list(self.history.trials.values())

    @property
    def counts(self) -> dict[str, int]:
        """Trials by status; those answered from the cache are counted as `cached`, completed proxies as `proxies`."""
        return dict(Counter(map(_word, self.rows)))

    @property
    def running(self) -> int:
        """Trials that run now, or ran when the driver ended."""
        return sum(row.status == RUNNING for row in self.rows)

    def state(self) -> State:
        """Returns what the search does now, by its journal and by whether its driver lives."""
        running = self.running
        if alive(self._storage) is not None:
            return State(self.counts, running, 0, None if running else self.reason)
        counts = {status: count for status, count in self.counts.items() if status != RUNNING}
        return State(counts, 0, running, self.reason or ("interrupted" if self.rows else None))

    @property
    def spent(self) -> int:
        """Trials told that count for the budget: started, so neither cached nor infeasible, and no proxies."""
        return sum(row.told and row.attempts > 0 and row.mode != "proxy" for row in self.rows)

    def value(self, row: TrialRow, objective: Objective | None = None) -> float | None:
        """Returns what a trial is worth under an objective (default: the first), or None when it said nothing of it."""
        objective = objective or self.objectives[0]
        series = row.series.get(objective.metric)
        if not series and objective.metric in row.metrics:
            series = [row.metrics[objective.metric]]
        return objective.told(series) if series else None

    def _judge(self, row: TrialRow, outcome: Outcome) -> None:
        values = tuple(self.value(row, objective) for objective in self.objectives)
        known = tuple(value for value in values if value is not None)
        feasible = outcome.status is not Status.INFEASIBLE and violation(self.constraints, row.metrics) is None
        told = known if len(known) == len(values) else None
        self._judged.add(Judgement(self._trials[row.trial_id], outcome, told, feasible))

    def ranked(self) -> list[TrialRow]:
        """The trials that may be the best, the best first; earlier before later among equals."""
        able = [row for row in self.rows if (found := self._judged.records.get(row.trial_id)) and found.ranked]
        valued = [(value, row) for row in able if (value := self.value(row)) is not None]
        return [row for _, row in sorted(valued, key=lambda pair: -self.objectives[0].score(pair[0]))]

    @property
    def best(self) -> TrialRow | None:
        """The best trial, as the controller sees it, or None."""
        found = self._judged.best
        return None if found is None else self.history.trials[found]

    @property
    def front(self) -> list[TrialRow]:
        """The trials that no other dominates, in ask order."""
        return [self.history.trials[trial_id] for trial_id in self._judged.pareto_front]

    def failures(self) -> list[FailureGroup]:
        """Failed trials grouped by what they said, numbers left out; the largest group first."""
        groups: dict[str, list[TrialRow]] = {}
        for row in self.rows:
            if row.status == Status.FAILED and row.source == "run":
                groups.setdefault(re.sub(r"\d+", "#", row.reason or ""), []).append(row)
        found = [FailureGroup(len(rows), rows[0].reason or "", rows[0].trial_id) for rows in groups.values()]
        return sorted(found, key=lambda group: -group.count)

    def seconds_left(self, trials: int | None, seconds: float | None, elapsed: float) -> float | None:
        """Returns an estimate of the active seconds that are left, or None while nothing is known.

        Args:
            trials: Budget in trials.
            seconds: Budget in active seconds.
            elapsed: Active seconds so far.
        """
        limits = []
        if trials is not None and self.spent:
            limits.append(elapsed / self.spent * max(0, trials - self.spent))
        if seconds is not None:
            limits.append(max(0.0, seconds - elapsed))
        return min(limits) if limits else None


def _word(row: TrialRow) -> str:
    if row.source == "cache":
        return "cached"
    return "proxies" if row.mode == "proxy" and row.status == Status.COMPLETED else str(row.status)


def clock_text(seconds: float | None) -> str:
    """Returns `1:02:03`, `2:03` or `?` for a number of seconds."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def number_text(value: Any) -> str:
    """Returns a value as people read it: at most four significant decimals, thousands as they are."""
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 and abs(value) >= 10 else f"{value:.4g}"
    return ", ".join(str(item) for item in value) if isinstance(value, tuple | list) else str(value)
