"""The best trials so far: their checkpoints stay when they have ended, and `best.json` names the first of them."""

from __future__ import annotations

import bisect
from typing import Any

from cluster.ledger import Ledger
from cluster.storage import Storage
from cluster.winner import write_best
from controllers.base import Controller
from controllers.history import Record


class Ranking:
    """The best trials of a search.

    Args:
        storage: The storage of the search.
        controller: It knows the best trial and the front.
        ledger: What the journal says of each trial.
        keep: Number of trials whose checkpoints stay.
    """

    def __init__(self, storage: Storage, controller: Controller[Any], ledger: Ledger, keep: int) -> None:
        self._storage = storage
        self._controller = controller
        self._ledger = ledger
        self._keep = keep
        self._top: list[tuple[float, str]] = []
        self._best: str | None = None

    def add(self, record: Record) -> None:
        """Take in a trial that was told."""
        if record.ranked and record.values is not None:
            score = self._controller.objectives[0].score(record.values[0])
            bisect.insort(self._top, (-score, record.trial.trial_id))
            del self._top[self._keep :]

    def kept(self) -> set[str]:
        """Return the trials whose checkpoints stay: the best `keep`, with several objectives the front."""
        front = self._controller.pareto_front if len(self._controller.objectives) > 1 else ()
        top = (trial_id for _, trial_id in self._top)
        return {trial_id for trial_id in (*top, *front, self._controller.best) if trial_id}

    def write(self) -> None:
        """Replace `best.json` when another trial is the best now."""
        best = self._controller.best
        if best is not None and best != self._best:
            self._best = best
            entry = self._ledger[best]
            assert entry.outcome is not None
            write_best(self._storage, entry.trial, entry.outcome, self._ledger.finals.get(best))
