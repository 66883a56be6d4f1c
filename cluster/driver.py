"""The driver of a search: what happens next, and what of it is written down.

It owns the controller, the journal and the budget. Executors call it; it calls nobody back, sleeps nowhere and starts
no thread. Every record is written before anything acts on it.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from cluster.backlog import Backlog
from cluster.checkpoints import Checkpoints
from cluster.config import SearchConfig
from cluster.executors.base import Answer, Assignment, Failure, Halt
from cluster.journal import Journal
from cluster.ledger import Entry, Ledger
from cluster.outcomes import make_outcome, status_of
from cluster.ranking import Ranking
from cluster.storage import Storage
from cluster.upkeep import Upkeep
from controllers.base import Controller
from controllers.objective import violation
from controllers.trial import Outcome, Status, Verdict
from trainers.trial import Report

DEATHS = 3
IDENTICAL_FAILURES = 5
INFEASIBLE_IN_A_ROW = 1000
ASK_SECONDS = 0.1

_log = logging.getLogger(__name__)


class DriverError(Exception):
    """The search cannot go on; the text is one line for the user."""


class Driver:
    """One search, as long as one process drives it.

    Args:
        config: The search.
        controller: Who chooses, as the journal left it; it brings the space.
        journal: The journal, open for writing.
        storage: The storage of the search.
        checkpoints: What the journal names.
        ledger: What the journal says of each trial.
        upkeep: What is done by the clock.
        static_metrics: Realized candidate -> what is known of it before it trains.
        concurrency: Trials at a time.
        node: Where trials run, when that is known beforehand.
        show: Takes the id of a trial that ended well, and its realized candidate, before the trial is told.
    """

    def __init__(
        self,
        config: SearchConfig,
        controller: Controller[Any],
        journal: Journal,
        storage: Storage,
        checkpoints: Checkpoints,
        ledger: Ledger,
        upkeep: Upkeep,
        static_metrics: Callable[[Any], dict[str, float]] = lambda spec: {},
        concurrency: int = 1,
        node: str | None = None,
        show: Callable[[str, Any], None] | None = None,
    ) -> None:
        self.config = config
        self.controller = controller
        self.storage = storage
        self.checkpoints = checkpoints
        self.ledger = ledger
        self.upkeep = upkeep
        self.concurrency = concurrency
        self.reason: str | None = None  # why no trial is started any more
        self.failed = False
        self._journal = journal
        self._static_metrics = static_metrics
        self._node = node
        self._show = show
        self._devices = config.resources.workers * (config.resources.gpus or 1.0)
        self._backlog = Backlog(ledger, config.task.pooled, config.budget.trials, config.lookahead)
        self._running: dict[str, int] = {}
        self._followers: dict[str, list[str]] = {}
        self._static: dict[str, dict[str, float]] = {}
        self._deaths: Counter[str] = Counter()
        self._infeasible = 0
        self._dry = False
        self._together = False
        self._halt: Halt | None = None
        self._ranking = Ranking(storage, controller, ledger, config.keep)
        self._adopt()

    # What executors call.

    def next_trial(self) -> Assignment | Answer:
        """Hand out an attempt to start now: first what an earlier start left, then what the controller proposes."""
        found = self.next_trials(1)
        return found if isinstance(found, Answer) else found[0]

    def next_trials(self, n: int) -> list[Assignment] | Answer:
        """Hand out at most n attempts to start now, all of one phase.

        An attempt that is not its trial's first comes alone: it may be one that kills its process.
        """
        until = time.monotonic() + ASK_SECONDS
        found: list[Assignment] = []
        while self._halt is None and len(found) < n:
            entry = self._head(until, n - len(found))
            if entry is None or not self._backlog.due(entry) or (found and entry.attempt):
                break
            self._backlog.pop()
            if entry.attempt:
                return [self._start(entry)]
            if self._passes(entry):
                found.append(self._start(entry))
            elif self._pauses(until):
                break
        return found or (Answer.WAIT if self._running or self._halt is not None else Answer.DONE)

    def begin_phase(self) -> bool | None:
        """Begin the phase of the next trial: until the next call, no trial of another is handed out."""
        entry = self._head(time.monotonic() + ASK_SECONDS, 1)
        self._backlog.phase = None if entry is None else self._backlog.pooled(entry)
        return self._backlog.phase

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Take what came back at once as one: its records are synced together, before any of it is acted on."""
        self._together = True
        try:
            with self._journal.together():
                yield
        finally:
            self._together = False
        self._settle()

    def on_report(self, trial_id: str, attempt: int, report: Report) -> Verdict:
        """Take a report: judge it, write it down.

        A step that the journal has is not judged or written again: the first record stands. An attempt that was given
        up is told to stop.
        """
        if self._running.get(trial_id) != attempt:
            return Verdict.STOP
        if report.step <= self.ledger[trial_id].steps:
            return Verdict.CONTINUE
        metrics = dict(report.metrics)
        began = time.perf_counter()
        verdict = self.controller.report(trial_id, report.step, metrics)
        self.upkeep.spent(time.perf_counter() - began)
        self._dry = False
        self.note(
            "reported",
            trial=trial_id,
            attempt=attempt,
            step=report.step,
            time=time.time(),
            metrics=metrics,
            verdict=str(verdict),
            checkpoint=report.checkpoint,
            done=report.done,
            **({} if report.payload is None else {"payload": report.payload}),
        )
        if report.checkpoint is not None:
            self.checkpoints.reported(trial_id, report.checkpoint)
        return verdict

    def on_end(self, trial_id: str, attempt: int, failure: Failure | None = None) -> None:
        """Take the end of an attempt and tell the controller what the trial was worth."""
        if self._running.get(trial_id) == attempt:
            del self._running[trial_id]
            self._finish(self.ledger[trial_id], failure)

    def on_lost(self, trial_id: str, attempt: int, reason: str) -> None:
        """Take the death of the process that ran an attempt: the trial goes on from its newest checkpoint."""
        if self._running.get(trial_id) != attempt:
            return
        del self._running[trial_id]
        entry = self.ledger[trial_id]
        self._deaths[trial_id] += 1
        _log.warning("trial %s: attempt %d was lost: %s", trial_id, attempt, reason)
        if entry.ended:
            self._finish(entry)
        elif self._deaths[trial_id] < DEATHS:
            self._backlog.add(entry)
        else:
            self._finish(entry, Failure(f"its process died {DEATHS} times; the last time: {reason}", "process died"))

    def tick(self) -> Halt | None:
        """Do what is due by the clock; called often, so cheap when nothing is."""
        limit = self.config.budget.seconds
        if self._halt is None and limit is not None and self.upkeep.seconds >= limit:
            self._halt = Halt.EXPIRED
        if self.upkeep.tick():
            self.interrupt()
        if self._journal.synced:
            self.checkpoints.collect()
        return self._halt

    def interrupt(self) -> None:
        """Ask for a stop, from a signal handler too: running trials stay pending."""
        self._halt = self._halt or Halt.INTERRUPTED

    def drop_running(self, reason: str) -> None:
        """Take the loss of everything that runs, such as of all workers at once."""
        for trial_id, attempt in list(self._running.items()):
            self.on_lost(trial_id, attempt, reason)

    def enqueue(self, candidate: dict[str, Any]) -> None:
        """Have the controller hand out a candidate of the space first."""
        chosen = self.controller.space.candidate(candidate)
        self.controller.enqueue(chosen)
        self.note("enqueued", candidate=chosen.to_json(), time=time.time())
        self._dry = False

    def close(self, halt: Halt | None) -> None:
        """Settle why the search ends here, cut short or not; what is pending at an interruption stays pending."""
        if halt is Halt.EXPIRED:
            for entry in list(self.ledger.pending()):
                if entry.outcome is None:
                    self._tell(entry, make_outcome(entry, {}, Status.CANCELLED, halt.value, self._devices))
        if halt is not None:
            self.reason = halt.value
        told = any(entry.outcome is not None for entry in self.ledger.entries.values())
        self.failed = self.failed or (halt is None and told and not self.ledger.succeeded)
        self.upkeep.write_clock()

    # How it goes on from where the journal ends.

    def _adopt(self) -> None:
        for record in self.controller.records.values():
            self._ranking.add(record)
        pending = list(self.ledger.pending())
        for entry in pending:
            if entry.trial.same_as is None and not entry.ended:
                self._backlog.add(entry)
        self.checkpoints.sweep(self._kept() | {entry.trial.trial_id for entry in pending})
        for entry in pending:
            if entry.trial.same_as is not None:
                self._follow(entry)
        for entry in pending:
            if entry.outcome is None and entry.ended:
                self._finish(entry)
        self._ranking.write()

    # How a trial begins.

    def _head(self, until: float, wanted: int) -> Entry | None:
        """The trial to start next, when there is one now."""
        if not self._backlog.again:
            if self.reason is None:
                self._refill(until, wanted)
            if self.reason is not None or self._halt is not None:
                return None
        return self._backlog.first

    def _refill(self, until: float, wanted: int) -> None:
        """Ask until the queue holds as many trials as are wanted and the lookahead, or the controller has none now."""
        while self._halt is None and not self._dry and (missing := self._backlog.missing(wanted)) > 0:
            began = time.perf_counter()
            trials = self.controller.ask(missing)
            self.upkeep.spent(time.perf_counter() - began)
            self._dry = not trials
            if trials:
                self.note("asked", n=missing, trials=[trial.to_data() for trial in trials], time=time.time())
            for trial in trials:
                if trial.same_as is None:
                    self._backlog.add(self.ledger[trial.trial_id])
                else:
                    self._follow(self.ledger[trial.trial_id])
            if self._pauses(until):
                break
        if not self._backlog.proposed and self._halt is None:
            self.reason = self._used_up()

    def _pauses(self, until: float) -> bool:
        """Whether asking has to wait: what came back from running trials, the clock and a request to stop go first.

        Duplicates and infeasible candidates are told at once, and there may be thousands in a row.
        """
        self.tick()
        return self._halt is not None or (bool(self._running) and time.monotonic() >= until)

    def _used_up(self) -> str | None:
        """Why no trial will ever be started again, or None."""
        if self._backlog.missing(1) <= 0:
            return "budget.trials"
        if self.controller.finished is None and not self._running:
            raise DriverError(f"controller {type(self.controller).__name__}: proposes nothing and waits for nothing")
        return self.controller.finished

    def _follow(self, entry: Entry) -> None:
        """Answer a duplicate from the trial that it repeats, now or when that is told."""
        original = entry.trial.same_as
        assert original is not None
        outcome = self.ledger[original].outcome
        if outcome is None:
            self._followers.setdefault(original, []).append(entry.trial.trial_id)
        else:
            self._tell(entry, replace(outcome, source="cache", cost={}))

    def _passes(self, entry: Entry) -> bool:
        """Whether a trial may start; else the controller is told why not."""
        try:
            static = self._measure(entry)
        except Exception as error:  # noqa: BLE001 - a candidate that cannot be built is a failed trial
            self._finish(entry, Failure.of(error))
            return False
        broken = violation(self.config.constraints, static)
        if broken is None:
            self._infeasible = 0
            self._static[entry.trial.trial_id] = static
            return True
        self._infeasible += 1
        self._tell(entry, make_outcome(entry, static, Status.INFEASIBLE, broken))
        if self._infeasible >= INFEASIBLE_IN_A_ROW:
            self._fail(f"{self._infeasible} candidates in a row break a constraint; the last one: {broken}")
        return False

    def _measure(self, entry: Entry) -> dict[str, float]:
        """What is known of a candidate before it trains: of a supernet, which is none, nothing."""
        trial = entry.trial
        return {} if trial.mode == "supernet" else self._static_metrics(trial.spec(self.controller.space))

    def _start(self, entry: Entry) -> Assignment:
        trial = entry.trial
        attempt = entry.attempt + 1
        inherits = trial.parent_id if trial.inherit != "none" else None
        assignment = Assignment(
            trial,
            attempt,
            folder=self.checkpoints.uri(trial.trial_id),
            resume_from=self.checkpoints.usable(trial.trial_id) if attempt > 1 else None,
            parent_checkpoint=self.checkpoints.usable(inherits) if inherits is not None else None,
            log=self.storage.uri(f"logs/{trial.trial_id}.txt"),
        )
        self.note("started", trial=trial.trial_id, attempt=attempt, node=self._node, time=time.time())
        self._running[trial.trial_id] = attempt
        return assignment

    # How a trial ends.

    def _finish(self, entry: Entry, failure: Failure | None = None) -> None:
        """Tell a trial that ran, or that cannot be built."""
        static = self._static.pop(entry.trial.trial_id, None)
        if static is None:
            static = self._measure(entry) if failure is None else {}
        if failure is None and self._show is not None and entry.trial.mode not in ("supernet", "proxy"):
            self._show(entry.trial.trial_id, entry.trial.spec(self.controller.space))
        status = status_of(entry) if failure is None else Status.FAILED
        reason = None if failure is None else failure.reason
        outcome = make_outcome(entry, static, status, reason, self._devices)
        outcome = self._tell(entry, outcome, None if failure is None else failure.fingerprint)
        if self.ledger.identical_failures >= IDENTICAL_FAILURES and not self.ledger.succeeded:
            self._fail(f"{self.ledger.identical_failures} trials failed alike: {outcome.reason}")
        if not self._together:
            self._settle()

    def _settle(self) -> None:
        """Do outside of this process what follows from what was told."""
        self._ranking.write()
        self.checkpoints.retain(self._kept())
        self.checkpoints.collect()
        self.upkeep.save_snapshot(self.controller)

    def _tell(self, entry: Entry, outcome: Outcome, fingerprint: str | None = None) -> Outcome:
        trial_id = entry.trial.trial_id
        began = time.perf_counter()
        outcome = self.controller.judge(trial_id, outcome).outcome
        cause = {} if fingerprint is None else {"fingerprint": fingerprint}
        self.note("told", trial=trial_id, outcome=outcome.to_data(), time=time.time(), **cause)
        self._ranking.add(self.controller.tell(trial_id, outcome))
        self.upkeep.spent(time.perf_counter() - began)
        self._dry = False
        for follower in self._followers.pop(trial_id, ()):
            self._follow(self.ledger[follower])
        return outcome

    def _kept(self) -> set[str]:
        """Trials whose checkpoints stay: pending ones, parents still needed, the best."""
        pending = (*self._running, *self._backlog)
        parents = (self.ledger[trial_id].trial.parent_id for trial_id in pending)
        return {trial_id for trial_id in (*pending, *parents) if trial_id} | self._ranking.kept()

    def _fail(self, reason: str) -> None:
        self.reason, self.failed = reason, True

    def note(self, kind: str, **fields: Any) -> None:
        """Write a record, and take it into the book."""
        self._journal.append(kind, **fields)
        self.ledger.apply(kind, fields)
