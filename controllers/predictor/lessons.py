"""What told trials teach a predictor: which of them it learns from, and on which scale."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

import numpy as np

from controllers.predictor.features import Array
from search_spaces.candidate import Candidate


@dataclass(frozen=True)
class Lesson:
    """A trial that has ended.

    Args:
        name: The trial.
        candidate: What it evaluated.
        score: Its objective, greater is better; minus infinity for one that failed or may not be the best.
        complete: Whether it ran to its end.
    """

    name: str
    candidate: Candidate
    score: float
    complete: bool


class Lessons:
    """All of them, in tell order.

    What was stopped early counts as no better than the median of what is complete; what failed or may not be the best,
    as worse than the worst of it by a tenth of their range.
    """

    def __init__(self) -> None:
        self._all: list[Lesson] = []
        self._scores: list[float] = []
        self._complete: list[bool] = []
        self._ranking: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._all)

    @property
    def complete(self) -> int:
        """How many ran to their end and may be the best."""
        return len(self._ranking)

    def add(self, lesson: Lesson) -> None:
        """Take in one more."""
        if lesson.complete:
            insort(self._ranking, (-lesson.score, len(self._all)))
        self._all.append(lesson)
        self._scores.append(lesson.score)
        self._complete.append(lesson.complete)

    def best(self, n: int) -> list[Lesson]:
        """Return the n best that are complete, the earliest of equals first."""
        return [self._all[i] for _, i in self._ranking[:n]]

    def chosen(self, n: int) -> tuple[list[Candidate], Array]:
        """Return at most n candidates to learn from, and what each was worth.

        Half of them are the best, the others spread evenly over the rest in tell order; from one call to the next, few
        of them change.

        Args:
            n: At most so many, at least two.

        Returns:
            The candidates, and their values on the scale of `warped`, (n,).
        """
        values = self._values()
        picked = list(range(len(self._all)))
        if len(self._all) > n:
            top = {i for _, i in self._ranking[: n // 2]}
            rest = [i for i in picked if i not in top]
            stride = 1
            while len(rest) > stride * (n - len(top)):
                stride *= 2
            picked = sorted([*top, *rest[::stride]])
        return [self._all[i].candidate for i in picked], values[picked]

    def _values(self) -> Array:
        scores, complete = np.array(self._scores), np.array(self._complete)
        known = scores[complete]
        worst = known.min() - ((known.max() - known.min()) / 10 or 1.0)
        return warped(np.where(complete, scores, np.clip(scores, worst, np.median(known))))


def warped(scores: Array) -> Array:
    """Return values with mean 0 on a scale that tells the good apart and does not dwell on the bad, (n,).

    Scores above the median keep their distances, in units of their root mean square distance from it; those below take
    the place of their rank in a normal distribution.

    Args:
        scores: Finite, greater is better, (n,).

    Paper: Song et al., 2024, arXiv 2408.11527 (the half-rank warping of Vizier).
    """
    from scipy.special import ndtri

    middle = float(np.median(scores))
    above = scores >= middle
    unit = float(np.sqrt(np.mean((scores[above] - middle) ** 2)))
    values: Array = (scores - middle) / (unit or 1.0)
    places = np.searchsorted(np.sort(scores), scores[~above], side="left") + 0.5
    values[~above] = ndtri(places / len(scores))
    centred: Array = values - values.mean()
    return centred
