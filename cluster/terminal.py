"""What a search shows while it runs: one live line on a terminal, a plain line a trial elsewhere."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from cluster.config import Budget
from cluster.history import TrialRow
from cluster.standing import Standing, clock_text, number_text
from controllers.gradient.monitor import COLLAPSE, COLLAPSED, SKIPS

REFRESH_SECONDS = 0.5
REMOTE_REFRESH_SECONDS = 5.0


class Live:
    """Follows a journal in a thread of its own; a context manager.

    Args:
        standing: The search.
        name: Its name.
        budget: What it may spend.
        console: Where to write; None: standard error.
        refresh: Seconds between two looks at the journal.
    """

    def __init__(
        self,
        standing: Standing,
        name: str,
        budget: Budget,
        console: Console | None = None,
        refresh: float = REFRESH_SECONDS,
    ) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._standing = standing
        self._name = name
        self._budget = budget
        self._refresh = refresh
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="terminal", daemon=True)
        self._progress: Progress | None = None
        self._begun = time.monotonic()
        self._before: float | None = None
        self._collapsed: set[str] = set()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[state]}"),
            )
            self._progress = Progress(*columns, console=self.console, transient=True)
            self._progress.add_task(self._name, total=self._budget.trials, state="")
            self._progress.start()
        # What an earlier start has told is not told again.
        self.update()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.update()
        if self._progress is not None:
            self._progress.stop()

    def update(self) -> None:
        """Reads what is new and shows it."""
        for row in self._standing.follow():
            if self._progress is None and self._before is not None:
                self.console.print(self.line(row), markup=False)
        self._warn()
        if self._before is None:
            self._before = self._standing.seconds
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=self._standing.spent, state=self.state())

    def _warn(self) -> None:
        """Tells of each supernet that has collapsed, once, while it still trains."""
        for row in self._standing.rows:
            if row.mode == "supernet" and row.trial_id not in self._collapsed and row.metrics.get(COLLAPSED):
                self._collapsed.add(row.trial_id)
                text = f"{row.trial_id}: {SKIPS} {number_text(row.metrics[SKIPS])}: {COLLAPSE}"
                self.console.print(text, markup=False)

    def state(self) -> str:
        """Returns what stands beside the bar: running, best so far, failed, time left."""
        standing = self._standing
        parts = [f"running {standing.running}"]
        if (best := standing.best) is not None:
            parts.append(f"best {number_text(standing.value(best))} ({best.trial_id})")
        if failed := standing.counts.get("FAILED"):
            parts.append(f"failed {failed}")
        elapsed = (self._before or 0.0) + time.monotonic() - self._begun
        left = standing.seconds_left(self._budget.trials, self._budget.seconds, elapsed)
        parts.append(f"left {clock_text(left)}")
        return " · ".join(parts)

    def line(self, row: TrialRow) -> str:
        """Returns the plain line of a trial that was told."""
        objective = self._standing.objectives[0]
        value = self._standing.value(row)
        worth = "" if value is None else f" {objective.metric}={number_text(value)}"
        cached = " (cache)" if row.source == "cache" else ""
        reason = f" {row.reason}" if row.reason else ""
        total = "" if self._budget.trials is None else f"/{self._budget.trials}"
        spent = f"{self._standing.spent}{total} trials"
        return f"{row.trial_id} {row.status}{cached}{worth}{reason} [{spent} · {self.state()}]"

    def _follow(self) -> None:
        while not self._stop.wait(self._refresh):
            self.update()
