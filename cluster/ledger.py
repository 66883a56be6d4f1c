"""The driver's book: what the journal says of each trial, in the terms in which the driver decides.

The running driver and a resume write it by the same `apply`, record by record, so that they cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controllers.trial import Outcome, Status, Trial, Verdict


@dataclass
class Entry:
    """One trial.

    Args:
        trial: What the controller asked for.
        attempt: Number of its starts.
        steps: The last step that was reported.
        metrics: The last value of each metric.
        seconds: How long its attempts took from start to last report.
        verdict: The last verdict.
        finished: The last report said that nothing follows.
        payload: What the last report brought for the controller.
        outcome: What the controller was told.
    """

    trial: Trial
    attempt: int = 0
    steps: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    verdict: Verdict = Verdict.CONTINUE
    finished: bool = False
    payload: Any = None
    outcome: Outcome | None = None
    _since: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether all its reports are there."""
        return self.finished or self.steps >= self.trial.fidelity

    @property
    def counted(self) -> bool:
        """Whether the budget counts it; a proxy costs next to nothing."""
        return self.trial.mode != "proxy"

    @property
    def ended(self) -> bool:
        """Whether nothing more will be reported, so that it can be told from the journal."""
        return self.complete or self.verdict is Verdict.STOP


class Ledger:
    """All trials of a search, in ask order.

    Attributes:
        entries: Trial id -> entry.
        seconds: Active seconds so far, as of the last `clock` record.
        started: Number of trials that were started and count.
        succeeded: Whether any trial was completed or pruned.
        finals: Trial id -> figures of its final test.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.seconds = 0.0
        self.started = 0
        self.succeeded = False
        self.finals: dict[str, dict[str, float]] = {}
        self._failures: tuple[str, int] = ("", 0)

    def __getitem__(self, trial_id: str) -> Entry:
        return self.entries[trial_id]

    def pending(self) -> Iterator[Entry]:
        """The trials that were not told, in ask order."""
        return (entry for entry in self.entries.values() if entry.outcome is None)

    @property
    def identical_failures(self) -> int:
        """How many trials failed alike, one after another, up to now."""
        return self._failures[1]

    def apply(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Take one record in; kinds that say nothing about a trial's state are passed over.

        Args:
            kind: The record's kind.
            fields: What it holds.
        """
        if kind == "asked":
            for data in fields["trials"]:
                trial = Trial.from_data(data)
                self.entries[trial.trial_id] = Entry(trial)
        elif kind == "started":
            self._start(self.entries[fields["trial"]], fields)
        elif kind == "reported":
            self._report(self.entries[fields["trial"]], fields)
        elif kind == "told":
            self._tell(self.entries[fields["trial"]], fields)
        elif kind == "clock":
            self.seconds = fields["seconds"]
        elif kind == "final":
            self.finals[fields["trial"]] = dict(fields["metrics"])

    def _start(self, entry: Entry, fields: Mapping[str, Any]) -> None:
        self.started += entry.attempt == 0 and entry.counted
        entry.attempt = fields["attempt"]
        entry._since = fields["time"]

    def _report(self, entry: Entry, fields: Mapping[str, Any]) -> None:
        entry.steps = fields["step"]
        entry.metrics.update(fields["metrics"])
        entry.seconds += fields["time"] - entry._since
        entry._since = fields["time"]
        entry.verdict = Verdict(fields["verdict"])
        entry.finished = fields.get("done", False)
        entry.payload = fields.get("payload", entry.payload)

    def _tell(self, entry: Entry, fields: Mapping[str, Any]) -> None:
        entry.outcome = outcome = Outcome.from_data(fields["outcome"])
        if outcome.source == "cache":
            return
        if outcome.status in (Status.COMPLETED, Status.PRUNED) and entry.counted:
            self.succeeded = True
        if outcome.status is Status.FAILED:
            cause = fields.get("fingerprint") or outcome.reason or ""
            self._failures = (cause, self._failures[1] + 1 if cause == self._failures[0] else 1)
        # A search of many trials remembers of each what is still asked for.
        entry.metrics, entry.payload = {}, None
