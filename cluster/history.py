"""What the journal says of each trial, kept up record by record: the view that tables, MLflow and terminal share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cluster.journal import Record
from search_spaces.candidate import Candidate

PENDING = "PENDING"
RUNNING = "RUNNING"


@dataclass
class TrialRow:
    """What is known of one trial.

    Args:
        trial_id: `t000042`.
        candidate: What it evaluates.
        seed: Seed of everything random in it.
        fidelity: Reports to run to.
        mode: train, supernet, evaluate, proxy or retrain.
        parent_id: The trial it starts from.
        group: Shared by the repeats of one candidate.
        same_as: The earlier trial whose outcome it takes.
        asked: When the controller proposed it, seconds since 1970; so are `started` and `ended`.
        started: When its first attempt began; None: it never ran.
        ended: When its outcome was told.
        attempts: How often it was started.
        status: PENDING, RUNNING, or how it ended.
        source: `run` or `cache`.
        steps: Reports so far.
        metrics: The last value of each metric.
        cost: seconds, device_seconds, epochs; as far as they are known.
        reason: Why it ended as it did, when there is more to say.
        series: Values by step of the metrics that the history was asked to keep.
    """

    trial_id: str
    candidate: Candidate
    seed: int
    fidelity: int
    mode: str
    parent_id: str | None = None
    group: str | None = None
    same_as: str | None = None
    asked: float | None = None
    started: float | None = None
    ended: float | None = None
    attempts: int = 0
    status: str = PENDING
    source: str = "run"
    steps: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    reason: str | None = None
    series: dict[str, list[float]] = field(default_factory=dict)

    @property
    def told(self) -> bool:
        """Whether the trial has its outcome."""
        return self.status not in (PENDING, RUNNING)


class History:
    """The trials of a search, in the order in which they were asked.

    Args:
        keep: Metrics whose values by step are kept.
    """

    def __init__(self, keep: Iterable[str] = ()) -> None:
        self.trials: dict[str, TrialRow] = {}
        self._keep = tuple(keep)
        self._now: float | None = None

    def apply(self, record: Record) -> TrialRow | None:
        """Take one record in.

        A step that is reported again, or a trial told again, changes nothing: the first record stands.

        Returns:
            The trial that the record told something new about, if it is about one trial.
        """
        fields = record.fields
        self._now = fields.get("time", self._now)
        if record.kind == "asked":
            for data in fields["trials"]:
                self._asked(data)
            return None
        row = self.trials.get(fields.get("trial", ""))
        if row is None:
            return None
        if record.kind == "started":
            return self._started(row, fields)
        if record.kind == "reported":
            return self._reported(row, fields)
        return self._told(row, fields) if record.kind == "told" else None

    def _asked(self, data: dict[str, Any]) -> None:
        names = ("trial_id", "seed", "fidelity", "mode", "parent_id", "group", "same_as")
        known = {name: data[name] for name in names}
        candidate = Candidate.from_data(data["candidate"])
        self.trials.setdefault(data["trial_id"], TrialRow(candidate=candidate, asked=self._now, **known))

    def _started(self, row: TrialRow, fields: dict[str, Any]) -> TrialRow | None:
        if row.told:
            return None
        row.attempts = max(row.attempts, int(fields["attempt"]))
        row.started = self._now if row.started is None else row.started
        row.status = RUNNING
        return row

    def _reported(self, row: TrialRow, fields: dict[str, Any]) -> TrialRow | None:
        if row.told or fields["step"] <= row.steps:
            return None
        row.steps = fields["step"]
        row.metrics.update(fields["metrics"])
        for name in self._keep:
            if name in fields["metrics"]:
                row.series.setdefault(name, []).append(fields["metrics"][name])
        return row

    def _told(self, row: TrialRow, fields: dict[str, Any]) -> TrialRow | None:
        if row.told:
            return None
        outcome = fields["outcome"]
        row.status = outcome["status"]
        row.source = outcome["source"]
        row.steps = max(row.steps, outcome["steps"])
        # An outcome writes numbers that are not finite as text.
        row.metrics.update({name: float(value) for name, value in outcome["metrics"].items()})
        row.cost = {name: float(value) for name, value in outcome["cost"].items()}
        row.reason = outcome["reason"]
        row.ended = self._now
        return row
