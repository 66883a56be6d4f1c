"""Ranges of whole and real numbers."""

import numpy as np
import pytest

from search_spaces.domains import Float, Integer
from search_spaces.errors import SpecError


def test_float_samples_follow_the_logarithm():
    rng, domain = np.random.default_rng(0), Float(1e-4, 1.0, log=True)
    samples = np.log10([domain.sample(rng) for _ in range(4000)])
    assert abs(samples.mean() + 2) < 0.1 and abs(samples.std() - 4 / np.sqrt(12)) < 0.05
    assert all(type(domain.sample(rng)) is float for _ in range(3))


def test_float_contains_floats_only():
    domain = Float(0, 1)
    assert domain.contains(0.0) and domain.contains(1.0) and not domain.contains(1) and not domain.contains(1.01)


def test_grid_values_are_middles_of_equal_parts():
    assert list(Float(0.0, 1.0).binned(4).values()) == [0.125, 0.375, 0.625, 0.875]
    log = list(Float(0.01, 100.0, log=True).binned(4).values())
    assert np.allclose(np.log10(log), [-1.5, -0.5, 0.5, 1.5])
    assert Float(0.0, 1.0).binned(4).choices_of(0.99) == (3,) and Float(0.0, 1.0).binned(None).finite is False


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Float(1.0, 1.0), "low < high"),
        (lambda: Float(0.0, 1.0, log=True), "starts above 0"),
        (lambda: Float("a", 1.0), "two numbers"),
        (lambda: Float(0.0, float("inf")), "finite"),
        (lambda: Integer(3, 1), "low <= high"),
        (lambda: Integer(1, 4, 2), "whole steps"),
        (lambda: Integer(True, 4), "whole numbers"),
        (lambda: Integer(0, 4, log=True), "starts at 1"),
        (lambda: Float(0.0, 1.0).binned(0), "bins"),
    ],
)
def test_wrong_ranges_are_refused(make, match):
    with pytest.raises(SpecError, match=match):
        make()


def test_logarithmic_integers_prefer_small_ones():
    rng, domain = np.random.default_rng(0), Integer(1, 64, log=True)
    samples = np.array([domain.sample(rng) for _ in range(4000)])
    assert samples.min() == 1 and samples.max() == 64 and 0.4 < (samples <= 8).mean() < 0.7


def test_neighbour_of_a_float_is_near_and_inside():
    rng, domain = np.random.default_rng(0), Float(0.01, 1.0, log=True)
    near = [domain.neighbours(0.1, rng)[0] for _ in range(500)]
    assert all(0.01 <= x <= 1.0 for x in near) and abs(np.log10(near).mean() + 1) < 0.05
