"""Sends one search to MLflow, as its journal grows.

A search is one parent run; a trial that trains is a child, other trials are rows of the parent's table. What is sent
depends on the journal alone and carries the journal's times, so that sending twice changes nothing: how far it came is
saved after each batch, and after a crash that batch is sent again. While MLflow is away, nothing moves.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cluster import searchfile
from cluster.history import RUNNING, TrialRow
from cluster.journal import Cursor, JournalReader, Record, begun, holds
from cluster.mlflow_process import STATE, STATE_SCHEMA, read_state
from cluster.mlflow_store import Point, RunStore, rejected
from cluster.mlflow_summary import Artifact, artifacts, note, search_params, trial_artifacts, trial_params
from cluster.pictures import ARTIFACTS
from cluster.standing import Standing
from cluster.storage import Storage
from controllers.objective import Constraint, Objective
from controllers.trial import Status

BATCH_RECORDS = 400
CHILD_MODES = ("train", "supernet", "retrain")
MAX_PAUSE_SECONDS = 15.0
_SERVER_THREADS = 4
_STATUSES = {
    Status.COMPLETED: "FINISHED",
    Status.PRUNED: "FINISHED",
    Status.FAILED: "FAILED",
    Status.INFEASIBLE: "FAILED",
    Status.CANCELLED: "KILLED",
}

_log = logging.getLogger(__name__)


class AwayError(Exception):
    """MLflow failed for now; the text is one line that says how."""


@dataclass
class _Work:
    """What is still to be sent of one trial."""

    started: bool = False
    ended: bool = False
    metrics: list[Point] = field(default_factory=list)


@dataclass
class _ParentWork:
    """What is still to be sent of the search itself."""

    news: bool = False
    metrics: list[Point] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    end: Mapping[str, Any] | None = None


class Sink:
    """Sends one search to MLflow.

    Args:
        storage: The storage of the search.
        tracking: URI of the MLflow store.
        experiment: Name of the experiment.
        name: Name of the search.
    """

    def __init__(self, storage: Storage, tracking: str, experiment: str, name: str) -> None:
        self.sent = 0
        self.run_id = ""
        self.experiment_id = ""
        self._storage = storage
        self._tracking = tracking
        self._experiment = experiment
        self._name = name
        self._store: RunStore | None = None
        self._warm: RunStore | None = None
        self._begun = False
        self._illustrated = False
        self._children: dict[str, tuple[str, str]] = {}
        self._threads = ThreadPoolExecutor(_SERVER_THREADS) if tracking.startswith("http") else None
        state = read_state(storage)
        # The search keeps its id, and so its run, whatever the store is called: it moves, a host has several names.
        self._search_id = state.get("search_id") or secrets.token_hex(8)
        self._known_run = state.get("run_id", "")
        cursor = Cursor(state.get("offset", 0), state.get("check", ""))
        # A power loss can take records that were sent already; then everything is sent again.
        self._begin(cursor if holds(storage, cursor) else Cursor())

    def _begin(self, sent: Cursor) -> None:
        """Read the journal from its start, and send what comes after `sent`."""
        self._sent = self._reached = sent
        self._skip = sent.offset
        self._reader = JournalReader(self._storage)
        self._queue: deque[Record] = deque()
        self._standing: Standing | None = None
        self._described = False
        self._tried = 0
        self._now = 0.0
        self._work: dict[str, _Work] = {}
        self._parent: _ParentWork | None = None

    @property
    def begun(self) -> bool:
        """Whether the search has a journal: before that it may still be refused, and then MLflow must know no run."""
        self._begun = self._begun or begun(self._storage)
        return self._begun

    def warm(self) -> None:
        """Import mlflow, and find or make the experiment.

        Raises:
            AwayError: MLflow failed.
        """
        if self._store is None and self._warm is None:
            with self._away():
                self._warm = RunStore(self._tracking, self._experiment)

    def connect(self) -> None:
        """Import mlflow, find or make experiment and parent run, and learn which children there are.

        Raises:
            AwayError: MLflow failed.
        """
        if self._store is not None:
            return
        # Saved before the run is made: should this process die in between, the run is found by the id.
        self._save()
        with self._away():
            store = self._warm or RunStore(self._tracking, self._experiment)
            self._warm = None
            self.experiment_id = store.experiment_id
            self.run_id = store.parent(self._search_id, self._name, _milliseconds(time.time()))
            self._children = store.children(self.run_id)
            self._status = store.status_of(self.run_id)
        if self._known_run not in ("", self.run_id):
            _log.warning("the run %s is not in this store; all is sent to %s", self._known_run, self.run_id)
            self._begin(Cursor())
        self._known_run = self.run_id
        self._store = store
        self._save()

    def step(self) -> bool:
        """Send one batch of what is new.

        Returns:
            Whether nothing is left.

        Raises:
            AwayError: MLflow failed; what was not sent is sent by the next call.
            JournalError: The journal cannot be read.
        """
        if not self.begun:
            return True
        self.connect()
        if self._parent is None and not self._gather():
            return True
        with self._away():
            self._send()
        self._sent = self._reached
        self._save()
        return not self._gather()

    def drain(self, patience: float) -> bool:
        """Send everything.

        Args:
            patience: How long MLflow may be away, in seconds.

        Returns:
            Whether everything was sent.
        """
        pause, since = 0.25, time.monotonic()
        while True:
            try:
                if self.step():
                    if self._store is not None:
                        with self._away():
                            self._store.settle()
                    return True
                pause, since = 0.25, time.monotonic()
            except AwayError as error:
                if time.monotonic() + pause - since > patience:
                    _log.warning("MLflow at %s is away, the rest is sent by a resume: %s", self._tracking, error)
                    return False
                time.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE_SECONDS)

    @contextmanager
    def _away(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # Whether the failed call came through is not known; `connect` looks.
            self._store = None
            raise AwayError(" ".join(str(error).split()) or type(error).__name__) from error

    # From records to work.

    def _gather(self) -> bool:
        """Turn the next batch of records into work; False when there is none."""
        if not self._queue:
            self._queue.extend(self._reader.poll())
        if not self._queue:
            return False
        self._parent = _ParentWork()
        if self._standing is None:
            # The search file was written before the first record.
            data = self._search_file()
            objectives = [Objective.from_data(item) for item in data.get("objectives", ())]
            constraints = [Constraint.from_data(item) for item in data.get("constraints", ())]
            self._standing = Standing(self._storage, objectives, constraints)
        for _ in range(min(BATCH_RECORDS, len(self._queue))):
            record = self._queue.popleft()
            self._take(record, self._standing, self._parent, record.offset >= self._skip)
            self._reached = Cursor(record.offset + 1, record.check)
        return True

    def _search_file(self) -> dict[str, Any]:
        try:
            return searchfile.mapping(self._storage.read_bytes("search.yaml").decode())
        except FileNotFoundError:
            return {}

    def _take(self, record: Record, standing: Standing, parent: _ParentWork, send: bool) -> None:
        fields = record.fields
        self._now = fields.get("time", self._now)
        known = standing.history.trials.get(fields.get("trial", ""))
        before = dict(known.metrics) if known is not None and record.kind == "told" else {}
        row = standing.take(record)
        parent.news |= send
        parent.end = fields if send and record.kind == "end" else None
        if row is not None and record.kind == "told":
            self._compare(row, standing, parent, send)
        if send and record.kind == "final":
            parent.metrics += _points(fields["metrics"], self._now, self._tried)
            parent.tags["deepspace.final_trial"] = str(fields["trial"])
        if not send or row is None or row.mode not in CHILD_MODES or not row.attempts:
            return
        work = self._work.setdefault(row.trial_id, _Work())
        work.started |= record.kind == "started"
        work.ended |= row.told
        if record.kind == "reported":
            work.metrics += _points(fields["metrics"], self._now, row.steps)
        elif row.told:
            news = {name: value for name, value in row.metrics.items() if not _same(before.get(name), value)}
            costs = {f"time/{name}": value for name, value in row.cost.items() if name.endswith("seconds")}
            work.metrics += _points({**news, **costs}, self._now, row.steps)

    def _compare(self, row: TrialRow, standing: Standing, parent: _ParentWork, send: bool) -> None:
        """The best value so far, over the number of trials that ran."""
        if not row.attempts:
            return
        self._tried += 1
        best = standing.best if send and standing.objectives else None
        if best is not None:
            name = f"best/{standing.objectives[0].metric}"
            parent.metrics += _points({name: standing.value(best) or 0.0}, self._now, self._tried)

    # From work to MLflow. What is done is taken off, so that a repeated call goes on where a failed one stopped.

    def _send(self) -> None:
        store, standing, parent = self._store, self._standing, self._parent
        assert store is not None and standing is not None and parent is not None

        def send(trial_id: str) -> None:
            with _passing_over(f"trial {trial_id}"):
                self._send_trial(store, standing.history.trials[trial_id], self._work[trial_id])
            del self._work[trial_id]

        self._illustrated = self._illustrated or self._storage.exists(ARTIFACTS)
        self._each(send, list(self._work))
        with _passing_over("the search"):
            if not self._described:
                store.add_params(self.run_id, search_params(self._search_file()))
                self._described = True
            if parent.news and parent.end is None and self._status != RUNNING:
                store.status(self.run_id, RUNNING)
                self._status = RUNNING
            if parent.metrics or parent.tags:
                store.log(self.run_id, parent.metrics, tags=parent.tags)
        if parent.end is not None:
            self._finish(store, standing, parent.end)
        self._parent = None

    def _each(self, send: Callable[[str], None], trial_ids: list[str]) -> None:
        """A server takes several calls at once, a file only one."""
        if self._threads is None:
            for trial_id in trial_ids:
                send(trial_id)
            return
        futures = [self._threads.submit(send, trial_id) for trial_id in trial_ids]
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            future.cancel()
        wait(futures)
        for future in futures:
            if not future.cancelled():
                future.result()

    def _send_trial(self, store: RunStore, row: TrialRow, work: _Work) -> None:
        run, status = self._children.get(row.trial_id, ("", RUNNING))
        tags = {"deepspace.status": str(row.status)} if work.ended else {}
        if not run:
            tags |= {"deepspace.candidate_id": row.candidate.id, "deepspace.mode": row.mode}
            if row.parent_id is not None:
                tags["deepspace.parent_id"] = row.parent_id
            run = store.child(self.run_id, row.trial_id, _milliseconds(row.started or 0.0), tags)
            self._children[row.trial_id] = (run, RUNNING)
            tags = {}
        params = trial_params(row) if work.started else {}
        if work.metrics or params or tags:
            store.log(run, work.metrics, params, tags)
        target = _STATUSES[Status(row.status)] if work.ended else RUNNING
        if target != status:
            store.status(run, target, _milliseconds(row.ended) if row.ended is not None else None)
        self._children[row.trial_id] = (run, target)
        if work.ended and self._illustrated:
            self._upload(store, trial_artifacts(self._storage, row.trial_id), {row.trial_id: run})
        self.sent += work.ended

    def _finish(self, store: RunStore, standing: Standing, end: Mapping[str, Any]) -> None:
        """What the parent shows at the end; a child that an interruption left is no longer running."""
        for trial_id, (run, status) in self._children.items():
            if status == RUNNING:
                with _passing_over(f"trial {trial_id}"):
                    store.status(run, "KILLED", _milliseconds(self._now))
                self._children[trial_id] = (run, "KILLED")
        runs = {trial_id: run for trial_id, (run, _) in self._children.items()}
        self._upload(store, artifacts(self._storage, standing), {None: self.run_id, **runs})
        with _passing_over("the search"):
            text = note(standing, store.experiment_id, runs)
            store.log(self.run_id, tags={"deepspace.end": str(end["reason"]), "mlflow.note.content": text})
            self._status = _end_status(end)
            store.status(self.run_id, self._status, _milliseconds(self._now))

    def _upload(self, store: RunStore, files: Iterable[Artifact], runs: Mapping[Any, str]) -> None:
        for owner, name, data in files:
            if owner in runs:
                with _passing_over(name):
                    store.upload(runs[owner], name, data)

    def _save(self) -> None:
        state = {
            "schema": STATE_SCHEMA,
            "search_id": self._search_id,
            "tracking": self._tracking,
            "experiment_id": self.experiment_id,
            "run_id": self._known_run,
            "offset": self._sent.offset,
            "check": self._sent.check,
        }
        self._storage.write_atomic(STATE, json.dumps(state).encode())


def _end_status(end: Mapping[str, Any]) -> str:
    if end["reason"] == "interrupted":
        return "KILLED"
    return "FAILED" if end.get("failed") else "FINISHED"


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1e3)


def _points(metrics: Mapping[str, float], time: float, step: int) -> list[Point]:
    return [(name, value, _milliseconds(time), step) for name, value in metrics.items()]


def _same(one: float | None, other: float) -> bool:
    return one == other or (one is not None and math.isnan(one) and math.isnan(other))


@contextmanager
def _passing_over(what: str) -> Iterator[None]:
    """What MLflow will never take, such as news of a run that was deleted in its pages, must not stop the rest."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, PermissionError) and not rejected(error):
            raise
        _log.warning("%s: MLflow does not take it: %s", what, error)
