"""Expected improvement against its integral and where it is known."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from controllers.predictor.acquisition import expected_improvement


def test_it_is_the_integral_of_what_exceeds_the_best() -> None:
    means, deviations = np.array([0.3, -0.5, 2.0]), np.array([0.2, 1.0, 0.1])
    found = expected_improvement(means, deviations, 0.4)
    for mean, deviation, value in zip(means, deviations, found, strict=True):
        integral = quad(lambda y, m=mean, s=deviation: (y - 0.4) * norm.pdf(y, m, s), 0.4, 0.4 + 12, points=[mean])[0]
        assert value == pytest.approx(integral, rel=1e-6)


def test_it_grows_with_mean_and_deviation() -> None:
    at_best = expected_improvement(np.zeros(3), np.array([0.5, 1.0, 2.0]), 0.0)
    assert at_best == pytest.approx(np.array([0.5, 1.0, 2.0]) / np.sqrt(2 * np.pi))
    assert (np.diff(expected_improvement(np.array([-1.0, 0.0, 1.0]), np.full(3, 0.3), 0.5)) > 0).all()
