"""What the loop is told about a trial, and what it says back: plain values, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


class TrialFailed(Exception):  # noqa: N818 - the name is the outcome's
    """The trial itself cannot go on (a non-finite loss, weights that do not fit): its outcome is FAILED.

    Args:
        reason: one line for people.
        step: the report that was being worked at, counted from 1.
    """

    def __init__(self, reason: str, step: int) -> None:
        super().__init__(reason, step)
        self.reason = reason
        self.step = step

    def __str__(self) -> str:
        return f"{self.reason} (report {self.step})"


@dataclass(frozen=True)
class Report:
    """One report of a trial.

    Args:
        step: counts the trial's reports from 1, over all its attempts.
        metrics: names to numbers; `epoch`, `samples` and `seconds` are totals since the trial began.
        checkpoint: `TRIAL/ATTEMPT-STEP.pt`, relative to the parent of the trial's folder, or None.
        done: nothing follows. A trial's iterator may also just end.
        payload: what the controller wants back, such as logits: anything JSON-able; the last one counts.
    """

    step: int
    metrics: Mapping[str, float]
    checkpoint: str | None = None
    done: bool = False
    payload: Any = None


@dataclass(frozen=True)
class Common:
    """What the trials of a search have in common.

    Args:
        folder: where one trial leaves what others find, a local path or a pyarrow URI; None: nowhere.
        seed: of the search.
    """

    folder: str | None = None
    seed: int = 0


ALONE = Common()
"""What a trial without others has in common with them."""


@dataclass(frozen=True)
class TrialContext:
    """What a task is told about the trial that it runs.

    Args:
        trial_id: `t000042`.
        seed: of everything random in the trial, at least 0.
        fidelity: reports to run to.
        attempt: counts the trial's starts from 1.
        mode: what is asked for, as in `Trial.mode`.
        folder: where this trial's checkpoints go, a local path or a pyarrow URI; None: none are written.
        resume_from: the checkpoint of this trial to go on from.
        inherit: what is taken from `parent_checkpoint`: `none`, `weights` (a child) or `all` (its continuation).
        parent_checkpoint: a checkpoint of another trial.
        device: a torch device.
        threads: torch's threads on the CPU.
        common: what it shares with the other trials of its search.
        updater: what learns the architecture in mode `supernet`, an `ArchUpdater`.
        candidate: path -> value of every choice that made its spec; None where nobody chose.
    """

    trial_id: str
    seed: int
    fidelity: int
    attempt: int = 1
    mode: str = "train"
    folder: str | None = None
    resume_from: str | None = None
    inherit: str = "none"
    parent_checkpoint: str | None = None
    device: str = "cpu"
    threads: int = 1
    common: Common = ALONE
    updater: Any = None
    candidate: Mapping[str, Any] | None = None
    _attached: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def checkpoint(self, state: Any) -> None:
        """Attach a state to the next report of a function task.

        Args:
            state: dicts and lists of tensors, numbers, text, bytes and None.
        """
        self._attached["state"] = state

    @cached_property
    def restored(self) -> Any | None:
        """The state that an earlier attempt, or the parent, attached last; None at a fresh start."""
        return (self.load() or {}).get("state")

    @property
    def continues(self) -> bool:
        """Whether steps are counted on from the checkpoint that `load` reads."""
        return self.resume_from is not None or (self.inherit == "all" and self.parent_checkpoint is not None)

    def load(self) -> dict[str, Any] | None:
        """Reads the checkpoint to start from: this trial's own, else what is inherited; None at a fresh start.

        Raises:
            CheckpointError: It is missing or damaged.
        """
        path = self.resume_from or (self.parent_checkpoint if self.inherit != "none" else None)
        if path is None:
            return None
        from trainers.checkpoint import load

        return load(path)

    def save(self, step: int, state: dict[str, Any]) -> str | None:
        """Writes a checkpoint named by attempt and step, where the trial has a folder.

        Args:
            step: The report that it belongs to.
            state: What to keep.

        Returns:
            What a report says of it, None without a folder.
        """
        if self.folder is None:
            return None
        from trainers.checkpoint import save

        return save(self.folder, f"{self.attempt}-{step}.pt", {"step": step, **state})

    def take_attached(self) -> dict[str, Any] | None:
        """Returns `{"state": ...}` when `checkpoint` was called since the last time, else None."""
        attached = dict(self._attached)
        self._attached.clear()
        return attached or None
