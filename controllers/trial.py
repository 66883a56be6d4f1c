"""What a controller hands out (`Trial`), what comes back (`Outcome`), and the words both use.

Nothing here imports torch: the command line and the workers read these types too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

from search_spaces.candidate import Candidate

if TYPE_CHECKING:
    from search_spaces.space import Space

Mode = Literal["train", "supernet", "evaluate", "proxy", "retrain"]
Inherit = Literal["none", "weights", "all"]
Source = Literal["run", "cache"]
_MODES, _INHERITS, _SOURCES = get_args(Mode), get_args(Inherit), get_args(Source)
_ONE_MODE, _ONE_INHERIT, _ONE_SOURCE = (f"one of {names}" for names in (_MODES, _INHERITS, _SOURCES))


class TrialError(ValueError):
    """A report or outcome of a trial that is not waiting for one."""


class Status(StrEnum):
    """How a trial ended."""

    COMPLETED = "COMPLETED"
    PRUNED = "PRUNED"
    FAILED = "FAILED"
    INFEASIBLE = "INFEASIBLE"
    CANCELLED = "CANCELLED"


class Verdict(StrEnum):
    """What a trial does after a report."""

    CONTINUE = "CONTINUE"
    STOP = "STOP"


@dataclass(frozen=True)
class Trial:
    """One candidate to evaluate.

    Args:
        trial_id: `t000042`, counted in ask order; never changes, however often the trial is started.
        candidate: What to evaluate; empty for a supernet, which leaves all decisions open.
        seed: Seed of everything random in the trial, derived from the root seed and `trial_id`.
        fidelity: Number of reports to run to.
        parent_id: The trial whose weights this one starts from.
        inherit: What it takes from the parent: `none`, `weights`, or `all` (optimizer, generators and step too).
        mode: `train`, `supernet`, `evaluate` (a path through a parent's weights), `proxy` (no training) or `retrain`.
        group: Shared by the repeats of one candidate; None for a single evaluation.
        same_as: The earlier trial of which this is a duplicate. Such a trial is not started: it is told that
            trial's outcome with `source="cache"` once it is known.
    """

    trial_id: str
    candidate: Candidate
    seed: int
    fidelity: int = 1
    parent_id: str | None = None
    inherit: Inherit = "none"
    mode: Mode = "train"
    group: str | None = None
    same_as: str | None = None

    def __post_init__(self) -> None:
        _require(self.fidelity >= 1, "fidelity", "a trial runs to at least one report", self.fidelity)
        _require(self.mode in _MODES, "mode", _ONE_MODE, self.mode)
        _require(self.inherit in _INHERITS, "inherit", _ONE_INHERIT, self.inherit)
        rule = "what inherits needs the trial to inherit from"
        _require(self.inherit == "none" or self.parent_id is not None, "parent_id", rule, self.parent_id)

    @property
    def number(self) -> int:
        """Place in ask order, from 0."""
        return int(self.trial_id[1:])

    def spec(self, space: Space) -> Any:
        """Return what is trained: the realized candidate, or the whole template for a supernet."""
        return space.template if self.mode == "supernet" else space.realize(self.candidate)

    def to_data(self) -> dict[str, Any]:
        """Return a JSON-able dict, the inverse of `from_data`."""
        return {
            "trial_id": self.trial_id,
            "candidate": _untupled(self.candidate.to_data()),
            "seed": self.seed,
            "fidelity": self.fidelity,
            "parent_id": self.parent_id,
            "inherit": self.inherit,
            "mode": self.mode,
            "group": self.group,
            "same_as": self.same_as,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Trial:
        """Return the trial that `to_data` described."""
        return cls(**{**data, "candidate": Candidate.from_data(data["candidate"])})


@dataclass(frozen=True)
class Outcome:
    """What a trial was worth.

    Args:
        status: How it ended.
        metrics: The last value of each metric.
        steps: Number of reports.
        cost: `seconds`, `device_seconds` and `epochs`, as far as they are known.
        payload: Anything JSON-able that the controller wants back, such as learned logits.
        reason: Why it failed, was cancelled or is infeasible.
        source: `run`, or `cache` when the outcome is that of an earlier trial.
    """

    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict)
    steps: int = 0
    cost: Mapping[str, float] = field(default_factory=dict)
    payload: Any = None
    reason: str | None = None
    source: Source = "run"

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", Status(self.status))
        object.__setattr__(self, "metrics", MappingProxyType({k: float(v) for k, v in self.metrics.items()}))
        object.__setattr__(self, "cost", MappingProxyType({k: float(v) for k, v in self.cost.items()}))
        _require(self.steps >= 0, "steps", "a number of reports", self.steps)
        _require(self.source in _SOURCES, "source", _ONE_SOURCE, self.source)

    def to_data(self) -> dict[str, Any]:
        """Return a JSON-able dict, the inverse of `from_data`; what JSON cannot write as a number is text."""
        return {
            "status": str(self.status),
            "metrics": {name: _number_to_json(value) for name, value in self.metrics.items()},
            "steps": self.steps,
            "cost": {name: _number_to_json(value) for name, value in self.cost.items()},
            "payload": self.payload,
            "reason": self.reason,
            "source": self.source,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Outcome:
        """Return the outcome that `to_data` described."""
        return cls(**data)

    def __reduce__(self) -> tuple[Any, ...]:
        # The read-only maps cannot be copied or sent to another process as they are.
        return Outcome.from_data, (self.to_data(),)


def _untupled(value: Any) -> Any:
    """Return `value` with tuples as lists, as JSON would return it."""
    if isinstance(value, dict):
        return {name: _untupled(item) for name, item in value.items()}
    return [_untupled(item) for item in value] if isinstance(value, tuple) else value


def _number_to_json(value: float) -> float | str:
    """Return `value`, or `nan`, `inf`, `-inf`, which `float()` reads back."""
    return value if math.isfinite(value) else str(value)


def _require(holds: bool, name: str, rule: str, got: object) -> None:
    if not holds:
        raise ValueError(f"{name}: {rule}; got {got!r}")
