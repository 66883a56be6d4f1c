"""What is learned from, and on which scale."""

import math

import numpy as np
import pytest
from scipy.special import ndtri

from controllers.predictor.lessons import Lesson, Lessons, warped
from search_spaces.candidate import Candidate


def _lessons(scores: list[float], stopped: tuple[int, ...] = ()) -> Lessons:
    lessons = Lessons()
    for i, score in enumerate(scores):
        complete = math.isfinite(score) and i not in stopped
        lessons.add(Lesson(f"t{i:06d}", Candidate({"i": i}), score, complete))
    return lessons


def test_good_values_keep_their_distances_and_bad_ones_their_order() -> None:
    values = warped(np.array([10.0, 12.0, 11.0, -900.0, 9.0]))
    unit = math.sqrt((0 + 4 + 1) / 3)
    expected = np.array([0, 2 / unit, 1 / unit, ndtri(0.1), ndtri(0.3)])
    assert values == pytest.approx(expected - expected.mean())
    assert warped(np.full(4, 3.0)).tolist() == [0, 0, 0, 0]


def test_the_best_come_first_and_the_earliest_of_equals() -> None:
    lessons = _lessons([0.1, 0.9, -math.inf, 0.9, 0.5])
    assert [lesson.name for lesson in lessons.best(3)] == ["t000001", "t000003", "t000004"]
    assert (len(lessons), lessons.complete) == (5, 4)


def test_failed_ones_are_worse_than_the_worst_and_stopped_ones_no_better_than_the_middle() -> None:
    candidates, values = _lessons([0.2, 0.4, 0.6, -math.inf, 9.0, 0.3], stopped=(4, 5)).chosen(10)
    assert [candidate["i"] for candidate in candidates] == list(range(6))
    assert values == pytest.approx(warped(np.array([0.2, 0.4, 0.6, 0.16, 0.4, 0.3])))
    _, values = _lessons([0.5, -math.inf, 0.5]).chosen(10)
    assert values[0] == values[2] > values[1]


def test_of_many_the_best_are_learned_from_and_the_rest_evenly() -> None:
    scores = [float((37 * i) % 1000) for i in range(1000)]
    candidates, values = _lessons(scores).chosen(100)
    picked = [int(candidate["i"]) for candidate in candidates]
    assert picked == sorted(picked) and 75 <= len(picked) <= 100
    assert {i for i in range(1000) if scores[i] >= 950} <= set(picked)
    assert max(np.diff(picked)) <= 40
    assert values == pytest.approx(warped(np.array(scores))[picked])
    more = {int(c["i"]) for c in _lessons([*scores, 0.5]).chosen(100)[0]}
    assert len(more ^ set(picked)) <= 2
