"""What the driver and an executor say to each other, and one attempt of a trial as both executors run it.

An executor asks for trials, runs them and calls back. It decides nothing: `next_trial` (or `next_trials`), `on_report`,
`on_end`, `on_lost` and `tick` are the whole protocol.
"""

from __future__ import annotations

import contextlib
import io
import site
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from controllers.trial import Trial, Verdict
from trainers.trial import ALONE, Common, Report, TrialContext, TrialFailed

if TYPE_CHECKING:
    from search_spaces.space import Space
    from trainers.tasks.base import Task

_HOUSE = Path(__file__).resolve().parents[2]
_OURS = tuple(str(_HOUSE / name) for name in ("search_spaces", "controllers", "trainers", "cluster"))
_PATHS = sysconfig.get_paths()
_LIBRARIES = (*(_PATHS[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")), *site.getsitepackages())


class Answer(Enum):
    """What `next_trial` says when it has no trial: none now, or none ever again."""

    WAIT = "wait"
    DONE = "done"


class Halt(Enum):
    """Why running trials are dropped at once: the user said so (they stay pending), or the time is used up."""

    INTERRUPTED = "interrupted"
    EXPIRED = "budget.seconds"


@dataclass(frozen=True)
class Assignment:
    """One attempt of a trial.

    Args:
        trial: What the controller asked for.
        attempt: Counts the trial's starts from 1.
        folder: Where its checkpoints go, a local path or a URI.
        resume_from: The trial's own checkpoint to go on from.
        parent_checkpoint: The parent's checkpoint, where the trial inherits.
        log: Where what it prints goes, a local path or a URI.
    """

    trial: Trial
    attempt: int
    folder: str | None = None
    resume_from: str | None = None
    parent_checkpoint: str | None = None
    log: str | None = None

    def to_data(self) -> dict[str, Any]:
        """Return a JSON-able dict, the inverse of `from_data`."""
        return {**self.__dict__, "trial": self.trial.to_data()}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Assignment:
        """Return the assignment that `to_data` described."""
        return cls(**{**data, "trial": Trial.from_data(data["trial"])})


@dataclass(frozen=True)
class Shared:
    """What all trials of a search have in common, held once a node.

    Args:
        task: What a trial does.
        space: Where candidates become specs.
        data: What `task.open()` gave.
        device: A torch device.
        threads: Torch threads of a trial.
        common: Where trials leave what others find, and the seed of the search.
        updater: Makes what learns the architecture in a `supernet` trial, for a controller that has one.
    """

    task: Task
    space: Space
    data: Any
    device: str = "cpu"
    threads: int = 1
    common: Common = ALONE
    updater: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Failure:
    """Why a trial cannot go on.

    Args:
        reason: One line: type, message, place.
        fingerprint: Type and place, alike for failures of one cause.
        traceback: The whole story.
    """

    reason: str
    fingerprint: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Describe an exception by its type, its message and the top frame of the user's code."""
        story = "".join(traceback.format_exception(error))
        if isinstance(error, TrialFailed):
            return cls(str(error), error.reason, story)
        kind = type(error).__name__
        message = " ".join(str(error).split())
        place = _place(error)
        text = f"{kind}: {message}" if message else kind
        return cls(
            reason=f"{text} ({place})" if place else text,
            fingerprint=f"{kind} ({place})" if place else kind,
            traceback=story,
        )


@dataclass(frozen=True)
class Word:
    """What one step of a trial brings: a report, an end, both, or a failure (which is an end)."""

    report: Report | None = None
    ended: bool = False
    failure: Failure | None = None


class Calls(Protocol):
    """The driver as an executor sees it."""

    concurrency: int

    def next_trial(self) -> Assignment | Answer:
        """Hand out an attempt to start now."""

    def next_trials(self, n: int) -> list[Assignment] | Answer:
        """Hand out at most n attempts to start now; one that goes on from an earlier attempt comes alone."""

    def begin_phase(self) -> bool | None:
        """Begin the phase of the next trial.

        Returns:
            Whether its trials are pooled; None: there is no trial left, or none is started now.
        """

    def together(self) -> AbstractContextManager[None]:
        """Take what is told inside as one."""

    def on_report(self, trial_id: str, attempt: int, report: Report) -> Verdict:
        """Take a report; the verdict says whether the trial goes on.

        Args:
            trial_id: The trial.
            attempt: Which of its attempts speaks, so that one that was given up is not heard.
            report: What it says.
        """

    def on_end(self, trial_id: str, attempt: int, failure: Failure | None = None) -> None:
        """Take the end of an attempt: complete, stopped or failed.

        Args:
            trial_id: The trial.
            attempt: Which of its attempts ended.
            failure: What the trial itself raised, if it did.
        """

    def on_lost(self, trial_id: str, attempt: int, reason: str) -> None:
        """Take the death of the process that ran an attempt."""

    def drop_running(self, reason: str) -> None:
        """Take the loss of everything that runs."""

    def tick(self) -> Halt | None:
        """Do what is due by the clock; called several times a second.

        Returns:
            Why running trials have to be dropped now, or None.
        """


class Executor(Protocol):
    """Runs trials until the driver has none left, or says halt."""

    def run(self, driver: Calls) -> Halt | None:
        """Run trials.

        Returns:
            Why it was cut short, or None.
        """


def take(driver: Calls, given: Assignment, word: Word) -> bool:
    """Tell the driver what a step brought, and return whether the attempt goes on.

    Args:
        driver: Who is told.
        given: The attempt.
        word: What the step brought.
    """
    trial_id, attempt = given.trial.trial_id, given.attempt
    stop = word.report is not None and driver.on_report(trial_id, attempt, word.report) is Verdict.STOP
    if stop or word.ended:
        driver.on_end(trial_id, attempt, word.failure)
    return not (stop or word.ended)


class TrialRun:
    """One attempt, a step at a time. Whatever the trial raises becomes a word; nothing is raised.

    Args:
        assignment: The attempt.
        shared: What all trials have in common.
        capture: Whether what the trial prints goes to its log.
    """

    def __init__(self, assignment: Assignment, shared: Shared, capture: bool = False) -> None:
        self.assignment = assignment
        self._shared = shared
        self._capture = capture
        self._loop: Iterator[Report] | None = None
        self._printed = io.StringIO()

    def step(self) -> Word:
        """Run to the trial's next report, or to its end."""
        try:
            with self._captured():
                if self._loop is None:
                    self._loop = self._begin()
                report = next(self._loop)
        except StopIteration:
            word = Word(ended=True)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a trial may fail in any way; the search goes on
            word = Word(ended=True, failure=Failure.of(error))
            self._printed.write(word.failure.traceback if word.failure else "")
        else:
            word = Word(report, ended=report.done or report.step >= self.assignment.trial.fidelity)
        if word.ended:
            self.close()
        self._write_log()
        return word

    def close(self) -> None:
        """Let the trial go, wherever it stands."""
        close = getattr(self._loop, "close", None)
        self._loop = iter(())
        if close is not None:
            with contextlib.suppress(Exception):
                close()

    def _begin(self) -> Iterator[Report]:
        _limit_threads(self._shared.threads)
        trial, given = self.assignment.trial, self.assignment
        context = TrialContext(
            trial_id=trial.trial_id,
            seed=trial.seed,
            fidelity=trial.fidelity,
            attempt=given.attempt,
            mode=trial.mode,
            folder=given.folder,
            resume_from=given.resume_from,
            inherit=trial.inherit,
            parent_checkpoint=given.parent_checkpoint,
            device=self._shared.device,
            threads=self._shared.threads,
            common=self._shared.common,
            updater=self._updater(),
            candidate=trial.candidate,
        )
        return iter(self._shared.task.run(trial.spec(self._shared.space), context, self._shared.data))

    def _updater(self) -> Any:
        make = self._shared.updater
        return make() if make is not None and self.assignment.trial.mode == "supernet" else None

    @contextlib.contextmanager
    def _captured(self) -> Iterator[None]:
        if not self._capture:
            yield
            return
        with contextlib.redirect_stdout(self._printed), contextlib.redirect_stderr(self._printed):
            yield

    def _write_log(self) -> None:
        text = self._printed.getvalue()
        if not text or self.assignment.log is None:
            return
        self._printed = io.StringIO()
        from cluster.storage import Storage

        storage, name = Storage.beside(self.assignment.log)
        if storage.appendable:
            file = storage.append(name)
            file.write(text.encode(errors="replace"))
            file.close()
        else:
            before = storage.read_bytes(name) if storage.exists(name) else b""
            storage.write_atomic(name, before + text.encode(errors="replace"))


def _limit_threads(threads: int) -> None:
    # Torch is not imported for a task that does without it.
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)


def _place(error: BaseException) -> str:
    """`file.py:12 in name`: the innermost frame of the user's code, else of ours, else of all."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    written = [frame for frame in frames if not frame.filename.startswith((*_LIBRARIES, "<frozen"))]
    users = [frame for frame in written if not frame.filename.startswith(_OURS)]
    frame = (users or written or list(frames))[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"
