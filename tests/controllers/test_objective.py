"""Told values, limits, fronts and volumes, against slow or hand-made answers."""

import itertools
import math

import numpy as np
import pytest

from controllers.objective import Constraint, Objective, dominates, hypervolume, pareto_front, violation
from search_spaces.errors import SpecError


@pytest.mark.parametrize(
    ("mode", "of", "told"),
    [
        ("max", "last", 2.0),
        ("max", "best", 5.0),
        ("min", "best", 1.0),
        ("max", "mean:2", 2.5),
        ("max", "mean:9", 3.0),
        ("max", "max:2", 3.0),
        ("max", "max:3", 4.0),
        ("min", "max:2", 3.0),
    ],
)
def test_told_values(mode: str, of: str, told: float) -> None:
    objective = Objective.from_data({"metric": "m", "mode": mode, "of": of})
    assert objective.told([1.0, 5.0, 4.0, 3.0, 2.0]) == told


def test_only_reports_that_count_may_spoil_a_value() -> None:
    reports = [math.nan, 1.0, 2.0]
    assert Objective(metric="m", of="max:2").told(reports) == 2.0
    assert Objective(metric="m").told(reports) == 2.0
    assert math.isnan(Objective(metric="m", of="best").told(reports))
    assert math.isnan(Objective(metric="m", of="max:3").told(reports))


@pytest.mark.parametrize("of", ["first", "max", "max:0", "mean:", "mean:-1", "max:2 "])
def test_an_unknown_way_to_make_one_value_is_refused(of: str) -> None:
    with pytest.raises(SpecError, match=r"of: .*allowed last, best, mean:k, max:k"):
        Objective.from_data({"metric": "m", "of": of})


def test_scores_are_greater_when_better() -> None:
    assert (Objective(metric="m").score(2.0), Objective(metric="m", mode="min").score(2.0)) == (2.0, -2.0)


def test_limits_are_allowed_and_what_is_beyond_is_named() -> None:
    params = Constraint(metric="cost/params", max=2.0e6)
    assert params.violation(2.0e6) is None
    assert params.violation(2.1e6) == "cost/params is 2.1e+06, above 2e+06"
    assert params.violation(math.nan) is not None
    assert Constraint(metric="a", min=0.5).violation(0.4) == "a is 0.4, below 0.5"


def test_metrics_that_are_not_known_yet_break_nothing() -> None:
    both = (Constraint(metric="a", max=1.0), Constraint(metric="b", min=0.0))
    assert violation(both, {}) is None
    assert violation(both, {"b": -1.0}) == "b is -1, below 0"


@pytest.mark.parametrize("limits", [{}, {"min": 2, "max": 1}])
def test_a_constraint_without_effect_or_way_out_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(SpecError):
        Constraint.from_data({"metric": "m", **limits})


def _slow_front(scores: list[tuple[float, ...]]) -> list[int]:
    return [i for i, a in enumerate(scores) if not any(dominates(b, a) for b in scores) and scores.index(a) == i]


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_front_is_that_of_the_definition(dimensions: int) -> None:
    rng = np.random.default_rng(dimensions)
    for _ in range(20):
        points = [tuple(map(float, row)) for row in rng.integers(5, size=(30, dimensions))]
        assert pareto_front(points) == _slow_front(points)
    assert pareto_front([]) == []


def test_a_large_front_is_found_quickly() -> None:
    angles = np.linspace(0, math.pi / 2, 2000)
    assert len(pareto_front([(math.cos(a), math.sin(a)) for a in angles])) == 2000


def test_volumes_made_by_hand() -> None:
    assert hypervolume([], (0.0, 0.0)) == 0.0
    assert hypervolume([(2.0, 1.0), (1.0, 3.0), (0.5, 0.5), (9.0, -1.0)], (0.0, 0.0)) == 2 * 1 + 1 * 2
    assert hypervolume([(3.0,), (5.0,)], (1.0,)) == 4.0


@pytest.mark.parametrize("dimensions", [2, 3, 4])
def test_volumes_count_the_cells_of_a_grid(dimensions: int) -> None:
    rng = np.random.default_rng(dimensions)
    points = [tuple(map(float, row)) for row in rng.integers(5, size=(6, dimensions))]
    cells = itertools.product(range(4), repeat=dimensions)
    covered = sum(any(all(c < x for c, x in zip(cell, point, strict=True)) for point in points) for cell in cells)
    assert hypervolume(points, (0.0,) * dimensions) == covered
