"""Trials that wait for a place: first those that an earlier attempt left, then those that the controller proposed."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator

from cluster.ledger import Entry, Ledger


class Backlog:
    """The trials that are to be started.

    Args:
        ledger: What the journal says of each trial.
        pooled: The modes of trials that run in the actor pool.
        budget: Trials that may be started; None: as many as come.
        lookahead: Trials asked for before a place is free.

    Attributes:
        proposed: Trials that were never started.
        again: Trials that were started, and not ended.
        phase: Whether pooled trials are handed out, or the others; None: all, as they come.
    """

    def __init__(self, ledger: Ledger, pooled: Collection[str], budget: int | None, lookahead: int) -> None:
        self.proposed: deque[str] = deque()
        self.again: deque[str] = deque()
        self.phase: bool | None = None
        self._ledger = ledger
        self._modes = pooled
        self._budget = budget
        self._lookahead = lookahead

    def __iter__(self) -> Iterator[str]:
        yield from self.again
        yield from self.proposed

    def add(self, entry: Entry) -> None:
        """Take in a trial that waits."""
        (self.again if entry.attempt else self.proposed).append(entry.trial.trial_id)

    @property
    def first(self) -> Entry | None:
        """The trial whose turn it is, or None."""
        trial_id = next(iter(self), None)
        return None if trial_id is None else self._ledger[trial_id]

    def pop(self) -> None:
        """Take out the first trial."""
        (self.again or self.proposed).popleft()

    def pooled(self, entry: Entry) -> bool:
        """Whether a trial runs in the actor pool."""
        return entry.trial.mode in self._modes

    def due(self, entry: Entry) -> bool:
        """Whether a trial belongs to this phase."""
        return self.phase in (None, self.pooled(entry))

    def missing(self, wanted: int) -> int:
        """Return how many trials to ask for so that `wanted` are there, and the lookahead; at most what the budget has.

        Args:
            wanted: Places that are free.
        """
        missing = wanted + self._lookahead - len(self.proposed)
        if self._budget is None or missing <= 0:
            return missing
        counted = sum(self._ledger[trial_id].counted for trial_id in self.proposed)
        return min(missing, self._budget - self._ledger.started - counted)
