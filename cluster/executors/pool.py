"""Trials too short for a Tune trial each: batches to plain Ray actors, whose words come back together."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError

from cluster.executors.base import Answer, Assignment, Calls, Halt, Shared, TrialRun, Word, take

POLL_SECONDS = 0.1
AHEAD = 2
"""Batches that an actor has at a time: one that it works on, one that is there when it is done."""


def evaluate(assignment: Assignment, shared: Shared) -> list[Word]:
    """Run one attempt to its end, and return all that it says.

    Args:
        assignment: The attempt.
        shared: What all trials have in common.
    """
    run = TrialRun(assignment, shared, capture=True)
    words = [run.step()]
    while not words[-1].ended:
        words.append(run.step())
    return words


class _Actor:
    """Evaluates batches, in a process of its own."""

    def __init__(self, shared: Shared) -> None:
        # Torch reads it when it is imported, which a task may do later.
        os.environ["OMP_NUM_THREADS"] = str(shared.threads)
        self._shared = shared

    def evaluate(self, batch: list[dict[str, Any]]) -> list[list[Word]]:
        return [evaluate(Assignment.from_data(data), self._shared) for data in batch]


@dataclass(eq=False)
class _Worker:
    """An actor and what it has to do."""

    actor: Any
    batches: dict[Any, list[Assignment]] = field(default_factory=dict)

    @property
    def alone(self) -> bool:
        """Whether it runs what may kill it."""
        return any(given.attempt > 1 for batch in self.batches.values() for given in batch)


class PoolExecutor:
    """Runs trials on Ray, which must be running.

    As many trials as `driver.concurrency` are out at a time, spread over the actors. A trial whose process died is sent
    alone the next time, so that one which kills its process takes no other with it.

    Args:
        shared: What all trials have in common, or where it lies in the object store.
        bundle: What Ray sets aside for one actor.
        actors: How many actors fit.
    """

    def __init__(self, shared: Shared | ray.ObjectRef[Shared], bundle: Mapping[str, float], actors: int) -> None:
        self._shared = shared if isinstance(shared, ray.ObjectRef) else ray.put(shared)
        self._actors = actors
        self._class = ray.remote(num_cpus=bundle.get("CPU", 0.0), num_gpus=bundle.get("GPU", 0.0))(_Actor)
        self._workers: list[_Worker] = []
        self._held: deque[list[Assignment]] = deque()

    def run(self, driver: Calls) -> Halt | None:
        """Run trials until none is left; its actors live as long."""
        actors = min(self._actors, driver.concurrency)
        size = math.ceil(driver.concurrency / (AHEAD * actors))
        try:
            while True:
                if (halt := driver.tick()) is not None:
                    return halt
                answer = self._send(driver, actors, size)
                pending = [ref for worker in self._workers for ref in worker.batches]
                if not pending and answer is Answer.DONE:
                    return None
                if pending:
                    ready, _ = ray.wait(pending, num_returns=1, timeout=POLL_SECONDS)
                    for ref in ready:
                        self._receive(driver, ref)
        finally:
            for worker in self._workers:
                ray.kill(worker.actor)
            self._workers.clear()
            self._held.clear()

    def _send(self, driver: Calls, actors: int, size: int) -> Answer | None:
        """Fill the actors; what the driver answered when it had no trial, or None."""
        while (worker := self._free(actors)) is not None:
            if self._held:
                self._start(worker, self._held.popleft())
                continue
            out = sum(len(batch) for worker in self._workers for batch in worker.batches.values())
            if out >= driver.concurrency:
                return None
            found = driver.next_trials(min(size, driver.concurrency - out))
            if isinstance(found, Answer):
                return found
            if found[0].attempt > 1 and worker.batches:
                self._held.append(found)
                return None
            self._start(worker, found)
        return None

    def _free(self, actors: int) -> _Worker | None:
        """The worker that has the least to do, if it can take a batch; a new one while there may be more."""
        room = 1 if self._held else AHEAD
        free = [worker for worker in self._workers if len(worker.batches) < room and not worker.alone]
        least = min(free, key=lambda worker: len(worker.batches), default=None)
        if (least is None or least.batches) and len(self._workers) < actors:
            least = _Worker(self._class.remote(self._shared))
            self._workers.append(least)
        return least

    def _start(self, worker: _Worker, batch: list[Assignment]) -> None:
        ref = worker.actor.evaluate.remote([given.to_data() for given in batch])
        worker.batches[ref] = batch

    def _receive(self, driver: Calls, ref: Any) -> None:
        worker = next(worker for worker in self._workers if ref in worker.batches)
        try:
            found: list[list[Word]] = ray.get(ref)
        except RayError as error:
            self._lost(driver, worker, " ".join(str(error).split()))
            return
        going = [(given, iter(words)) for given, words in zip(worker.batches.pop(ref), found, strict=True)]
        with driver.together():
            # Step by step, as trials would report that run side by side.
            while going:
                going = [(given, words) for given, words in going if take(driver, given, next(words))]

    def _lost(self, driver: Calls, worker: _Worker, reason: str) -> None:
        self._workers.remove(worker)
        ray.kill(worker.actor)
        for batch in worker.batches.values():
            for given in batch:
                driver.on_lost(given.trial.trial_id, given.attempt, reason)
