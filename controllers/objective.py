"""What is wanted: objectives, constraints, and the order of trials that follows from them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from search_spaces.errors import SpecError
from search_spaces.spec import Spec

_OF = re.compile(r"(last|best)|(mean|max):([1-9][0-9]*)")
Scores = tuple[float, ...]


class Objective(Spec):
    """A metric to make as large or as small as possible.

    Args:
        metric: Name of the metric, such as `val/accuracy`.
        mode: `max` or `min`.
        of: Which reports make the value that the controller is told: the `last`, the `best`, or the mean or the
            greatest of the last k: `mean:k`, `max:k`.
    """

    metric: Annotated[str, Field(min_length=1)]
    mode: Literal["max", "min"] = "max"
    of: str = "last"

    def check(self) -> None:
        """Refuses an `of` that names no way to make one value of many."""
        if not _OF.fullmatch(self.of):
            raise SpecError("unknown way to make one value of the reports", self.of, "last, best, mean:k, max:k", "of")

    def told(self, reports: Sequence[float]) -> float:
        """Return the value that stands for a trial.

        Args:
            reports: The metric at every report so far, oldest first; at least one.

        Returns:
            The value; not a number when one of the reports that count is not.
        """
        if self.of == "last":
            return reports[-1]
        found = _OF.fullmatch(self.of)
        assert found is not None
        kind, size = found[1] or found[2], int(found[3] or 1)
        window = reports if kind == "best" else reports[-size:]
        if any(math.isnan(value) for value in window):
            return math.nan
        if kind == "mean":
            return math.fsum(window) / len(window)
        return min(window) if kind == "best" and self.mode == "min" else max(window)

    def score(self, value: float) -> float:
        """Return `value` with the sign that makes greater better."""
        return value if self.mode == "max" else -value


class Constraint(Spec):
    """A metric that must stay within limits, both included.

    Args:
        metric: Name of the metric, such as `cost/params`.
        max: The greatest value allowed.
        min: The least value allowed.
    """

    metric: Annotated[str, Field(min_length=1)]
    max: float | None = None
    min: float | None = None

    def check(self) -> None:
        """Refuses a constraint that allows everything or nothing."""
        if self.max is None and self.min is None:
            raise SpecError("a constraint needs a limit", allowed="max, min, or both")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise SpecError("min is above max: nothing is allowed", [self.min, self.max], "min <= max")

    def violation(self, value: float) -> str | None:
        """Return in words how `value` breaks the limits, or None when it keeps them."""
        if self.max is not None and not value <= self.max:
            return f"{self.metric} is {value:g}, above {self.max:g}"
        if self.min is not None and not value >= self.min:
            return f"{self.metric} is {value:g}, below {self.min:g}"
        return None


def violation(constraints: Sequence[Constraint], metrics: Mapping[str, float]) -> str | None:
    """Return how the metrics that are known break the first constraint that they break; None when they break none.

    Args:
        constraints: All of the search.
        metrics: Those that are known so far; a constraint on another metric is passed over.
    """
    for constraint in constraints:
        if constraint.metric in metrics and (words := constraint.violation(metrics[constraint.metric])):
            return words
    return None


def dominates(a: Scores, b: Scores) -> bool:
    """Tell whether `a` is nowhere worse than `b` and somewhere better; greater is better."""
    return all(x >= y for x, y in zip(a, b, strict=True)) and a != b


def pareto_front(scores: Sequence[Scores]) -> list[int]:
    """Return the indexes of the points that no other point dominates, ascending; of equal points the first.

    Args:
        scores: Points of equal length, greater is better.
    """
    # In descending order a point can only be dominated by one before it, and by transitivity by one of the front.
    order = sorted(range(len(scores)), key=lambda i: (tuple(-x for x in scores[i]), i))
    front: list[int] = []
    kept = np.empty((len(scores), len(scores[0]) if scores else 0))
    for i in order:
        if not bool((kept[: len(front)] >= np.asarray(scores[i])).all(axis=1).any()):
            kept[len(front)] = scores[i]
            front.append(i)
    return sorted(front)


def hypervolume(scores: Sequence[Scores], reference: Scores) -> float:
    """Return the volume between the reference point and the front of `scores`.

    Args:
        scores: Points of equal length, greater is better.
        reference: The point below which nothing counts.

    Paper: Zitzler & Thiele, 1998; computed exactly by slicing along the last objective.
    """
    above = [point for point in scores if all(x > r for x, r in zip(point, reference, strict=True))]
    return _volume([above[i] for i in pareto_front(above)], reference)


def _volume(front: list[Scores], reference: Scores) -> float:
    if not front:
        return 0.0
    if len(reference) == 1:
        return max(point[0] for point in front) - reference[0]
    volume = 0.0
    levels = sorted({point[-1] for point in front}, reverse=True)
    for upper, lower in zip(levels, (*levels[1:], reference[-1]), strict=True):
        slab: list[Any] = [point[:-1] for point in front if point[-1] >= upper]
        volume += (upper - lower) * _volume([slab[i] for i in pareto_front(slab)], reference[:-1])
    return volume
