"""What a driver does by the clock: count active time, sync the journal, save snapshots, look for a request to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from cluster import snapshot
from cluster.journal import Journal
from cluster.replay import Replayed
from cluster.storage import Storage
from controllers.base import Controller

STOP_FILE = "STOP"
TICK_SECONDS = 0.5
REMOTE_TICK_SECONDS = 5.0
CLOCK_SECONDS = 5.0
SNAPSHOT_RECORDS = 256
SNAPSHOT_SECONDS = 60.0


class Upkeep:
    """The clockwork of one driver.

    Args:
        storage: The storage of the search.
        journal: The journal, open for writing.
        replayed: What the resume found, and what it cost.
        on_tick: Called about twice a second: tables, terminal.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        storage: Storage,
        journal: Journal,
        replayed: Replayed,
        on_tick: Sequence[Callable[[], object]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._journal = journal
        self._on_tick = on_tick
        self._clock = clock
        self._period = TICK_SECONDS if storage.appendable else REMOTE_TICK_SECONDS
        self._before = replayed.ledger.seconds
        self._began = self._next = self._written = clock()
        self._snapshot_at = max(SNAPSHOT_RECORDS, 2 * replayed.snapshot)
        self._replay_seconds = replayed.seconds

    @property
    def seconds(self) -> float:
        """Active seconds, summed over resumes."""
        return self._before + self._clock() - self._began

    def tick(self) -> bool:
        """Do what is due.

        Returns:
            Whether somebody asked for a stop.
        """
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + self._period
        if now - self._written >= CLOCK_SECONDS:
            self.write_clock()
        self._journal.sync()
        for call in self._on_tick:
            call()
        return self._storage.exists(STOP_FILE)

    def write_clock(self) -> None:
        """Write down the active time so far."""
        self._written = self._clock()
        self._journal.append("clock", seconds=round(self.seconds, 3))

    def spent(self, seconds: float) -> None:
        """Take in how long the controller worked: a replay would take as long."""
        self._replay_seconds += seconds

    def save_snapshot(self, controller: Controller[Any]) -> None:
        """Save the controller's state when the journal has doubled since, or a replay would take a minute.

        Args:
            controller: Its state must hold every record of the journal.
        """
        records = self._journal.offset
        if records < self._snapshot_at and self._replay_seconds < SNAPSHOT_SECONDS:
            return
        self._journal.sync()
        snapshot.save(self._storage, controller.state_dict(), records)
        self._snapshot_at = max(SNAPSHOT_RECORDS, 2 * records)
        self._replay_seconds = 0.0
