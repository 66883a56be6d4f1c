"""Trials as Ray Tune trials: one fresh run a driver start, actors that are used again, and nothing else of Tune's.

Tune pickles its searcher and its stopper; ours hold a key under which the driver's process finds the rest.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from cluster.executors.base import Answer, Assignment, Calls, Halt, Shared, Word
from cluster.trainable import ASSIGNMENT, WORD, TrialActor
from controllers.trial import Verdict

RESTARTS = 3
_BRIDGES: dict[str, _Bridge] = {}


class _Leave(BaseException):  # noqa: N818 - it is no error, and Tune must not take it for one
    """Leaves Tune's loop from inside."""


class _Bridge:
    """The driver, as Tune's callbacks reach it. Each attempt of a trial is one of Tune's trials.

    Args:
        driver: The driver.
    """

    def __init__(self, driver: Calls) -> None:
        self.driver = driver
        self.error: BaseException | None = None
        self.halt: Halt | None = None
        self.reasons: dict[str, str] = {}
        self.progress = 0
        self.controller: Any = None
        self._attempts: dict[str, Assignment] = {}
        self._words: dict[str, Word] = {}

    def suggest(self, tune_id: str) -> dict[str, Any] | str | None:
        """Hand Tune an attempt, None (ask later) or FINISHED."""
        # Tune sleeps for minutes over a searcher that has nothing while nothing runs.
        self.tick()
        answer = self._guarded(self.driver.next_trial)
        if isinstance(answer, Assignment):
            self._attempts[tune_id] = answer
            return {ASSIGNMENT: answer.to_data()}
        return Searcher.FINISHED if answer is Answer.DONE else None

    def report(self, tune_id: str, result: Mapping[str, Any]) -> bool:
        """Take a word of an attempt, and say whether it has to stop."""
        given = self._attempts[tune_id]
        (word,) = result[WORD]
        self._words[tune_id] = word
        self.progress += 1
        if word.report is None:
            return False
        verdict = self._guarded(self.driver.on_report, given.trial.trial_id, given.attempt, word.report)
        return verdict is Verdict.STOP

    def complete(self, tune_id: str, lost: bool) -> None:
        """Take the end of an attempt, or the loss of its process."""
        given = self._attempts.pop(tune_id)
        word = self._words.pop(tune_id, Word())
        if lost:
            reason = self.reasons.pop(tune_id, "no reason is known")
            self._guarded(self.driver.on_lost, given.trial.trial_id, given.attempt, reason)
        else:
            self._guarded(self.driver.on_end, given.trial.trial_id, given.attempt, word.failure)

    def tick(self) -> bool:
        """Leave Tune when the driver says halt."""
        self.halt = self._guarded(self.driver.tick)
        if self.halt is not None:
            raise _Leave
        return False

    def drop_actors(self) -> None:
        """Kill what runs, once Tune was left, and give its resources back; a step may take minutes."""
        if self.controller is not None:
            self.controller._actor_manager.cleanup()

    def _guarded(self, call: Any, *arguments: Any) -> Any:
        """Carry an error of the driver past Tune, which would make a text of it and go on."""
        try:
            return call(*arguments)
        except Exception as error:
            self.error = error
            raise _Leave from error


class _TuneSearcher(Searcher):
    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def suggest(self, trial_id: str) -> Any:
        return _BRIDGES[self._key].suggest(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        _BRIDGES[self._key].complete(trial_id, lost=error)

    def save_to_dir(self, *arguments: Any, **options: Any) -> None:
        """The journal keeps what there is to keep."""


class _TuneStopper(Stopper):
    """Sees every result, the last of a trial too, before anything else of Tune's does."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return _BRIDGES[self._key].report(trial_id, result)

    def stop_all(self) -> bool:
        return _BRIDGES[self._key].tick()


class _TuneScheduler(FIFOScheduler):
    def __init__(self, key: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._key = key

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Nobody: Tune starts pending trials anyway.

        Choosing one looks at every trial of the search, and gives it the next actor that is free, for which its own,
        just being started, is thrown away: after one lost actor, short trials would share one for good.
        """

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        _BRIDGES[self._key].controller = tune_controller._tune_controller

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        text = Path(trial.error_file).read_text() if trial.error_file and Path(trial.error_file).exists() else ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines:
            _BRIDGES[self._key].reasons[trial.trial_id] = lines[-1]


class TuneExecutor:
    """Runs trials on Ray, which must be running.

    Args:
        shared: What all trials have in common, or where it lies in the object store.
        bundle: What Ray sets aside for one trial.
    """

    def __init__(self, shared: Shared | ray.ObjectRef[Shared], bundle: Mapping[str, float]) -> None:
        self._bundle = dict(bundle)
        self._shared = shared if isinstance(shared, ray.ObjectRef) else ray.put(shared)

    def run(self, driver: Calls) -> Halt | None:
        """Run trials until none is left; begin again when Tune itself falls over a lost process.

        Raises:
            TuneError: Tune fell over several times without a report in between.
        """
        failures = 0
        while True:
            key = f"{id(driver)}-{time.monotonic_ns()}"
            bridge = _BRIDGES[key] = _Bridge(driver)
            try:
                self._fit(key, driver.concurrency)
                return None
            except _Leave:
                bridge.drop_actors()
                if bridge.error is not None:
                    raise bridge.error from None
                return bridge.halt
            except Exception as error:  # noqa: BLE001 - of whatever kind, the trials go on from their checkpoints
                failures = 0 if bridge.progress else failures + 1
                if failures > RESTARTS:
                    raise
                driver.drop_running(f"Tune fell over: {error}")
            finally:
                del _BRIDGES[key]

    def _fit(self, key: str, concurrency: int) -> None:
        scratch = tempfile.mkdtemp(prefix="deepspace-tune-")
        resources = tune.PlacementGroupFactory([self._bundle])
        trainable = tune.with_resources(tune.with_parameters(TrialActor, shared=self._shared), resources)
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=_TuneSearcher(key),
                scheduler=_TuneScheduler(key),
                num_samples=10**9,
                max_concurrent_trials=concurrency,
                reuse_actors=True,
                trial_dirname_creator=_folder_name,
            ),
            run_config=tune.RunConfig(
                name="trials",
                storage_path=scratch,
                stop=_TuneStopper(key),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        try:
            tuner.fit()
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _folder_name(trial: Any) -> str:
    return str(trial.trial_id)
