"""The posterior and the fit against scikit-learn and the formulas written out."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel

from controllers.predictor.features import Encoder, Rows
from controllers.predictor.gaussian import PRIOR, Posterior, cost, fit
from controllers.predictor.kernel import NOISE, Kernel
from search_spaces.domains import Categorical, Float
from search_spaces.space import Space
from tests.controllers.predictor.test_kernel import SPACE

CUBE = Space({name: Float(0.0, 1.0) for name in "xyz"})


def _told(space: Space, n: int, seed: int = 0) -> tuple[Kernel, Encoder, Rows, np.ndarray]:
    rng, encoder = np.random.default_rng(seed), Encoder(space)
    rows = encoder.rows([space.sample(rng) for _ in range(n)])
    values = np.sin(5 * rows.numbers[:, 0]) + 0.1 * rng.standard_normal(n)
    return Kernel(encoder, paths=False), encoder, rows, values - values.mean()


def test_it_predicts_what_scikit_learn_predicts() -> None:
    kernel, encoder, rows, values = _told(CUBE, 40)
    theta = np.log([0.3, 0.8, 1.5, 0.02])
    posterior = Posterior(kernel, theta, rows, values)
    theirs = GaussianProcessRegressor(
        Matern([0.3, 0.8, 1.5], nu=2.5) + WhiteKernel(kernel.noise(theta)), optimizer=None
    ).fit(rows.numbers, values)
    rng = np.random.default_rng(5)
    new = encoder.rows([CUBE.sample(rng) for _ in range(25)])
    mean, deviation = posterior.predict(new)
    expected, spread = theirs.predict(new.numbers, return_std=True)
    assert mean == pytest.approx(expected, abs=1e-9)
    # Theirs has the noise in it and a variance of 1.
    assert (deviation**2 / posterior.variance + kernel.noise(theta)) == pytest.approx(spread**2, abs=1e-9)
    assert posterior.best == pytest.approx(posterior.predict(rows)[0].max(), abs=1e-9)


def test_the_variance_is_the_mean_square_that_the_kernel_explains() -> None:
    kernel, _, rows, values = _told(CUBE, 20)
    theta = kernel.means
    matrix = kernel.between(theta, rows, rows) + kernel.noise(theta) * np.eye(20)
    expected = (values @ np.linalg.inv(matrix) @ values + PRIOR) / (20 + PRIOR)
    assert Posterior(kernel, theta, rows, values).variance == pytest.approx(expected, rel=1e-9)


def test_what_is_pending_counts_as_worth_what_is_predicted() -> None:
    kernel, encoder, rows, values = _told(CUBE, 30)
    theta, rng = np.log([0.4, 0.4, 0.4, 0.05]), np.random.default_rng(9)
    pending, new = (encoder.rows([CUBE.sample(rng) for _ in range(n)]) for n in (4, 10))
    posterior = Posterior(kernel, theta, rows, values)
    expecting = posterior.expecting(pending)
    mean, deviation = expecting.predict(new)
    both = Rows([*rows.rows, *pending.rows])
    matrix = kernel.between(theta, both, both) + np.diag([kernel.noise(theta)] * 30 + [NOISE] * 4)
    cross = kernel.between(theta, both, new)
    believed = np.append(values, posterior.predict(pending)[0])
    assert mean == pytest.approx(cross.T @ np.linalg.solve(matrix, believed), abs=1e-6)
    assert mean == pytest.approx(posterior.predict(new)[0], abs=1e-12)
    left = 1 - np.einsum("ij,ij->j", cross, np.linalg.solve(matrix, cross))
    assert deviation**2 == pytest.approx(posterior.variance * left, rel=1e-6)
    assert (deviation < posterior.predict(new)[1]).all()
    assert expecting.best == max(posterior.best, posterior.predict(pending)[0].max())


@pytest.mark.parametrize("space", [SPACE, CUBE])
def test_the_gradient_of_the_fit_is_that_of_differences(space: Space) -> None:
    rng, encoder = np.random.default_rng(3), Encoder(space)
    kernel = Kernel(encoder, paths=space is SPACE)
    rows = encoder.rows([space.sample(rng) for _ in range(15)])
    values, prepared = rng.standard_normal(15), kernel.prepared(rows, rows)
    theta = kernel.means + 0.2
    _, gradient = cost(kernel, theta, prepared, values)
    differences = approx_fprime(theta, lambda at: cost(kernel, at, prepared, values)[0], 1e-6)
    assert gradient == pytest.approx(differences, rel=1e-4, abs=1e-4)


def test_the_fit_finds_which_numbers_matter_and_the_noise() -> None:
    kernel, _, rows, values = _told(CUBE, 80)
    theta = fit(kernel, kernel.means, rows, values)
    lengths, noise = np.exp(theta[:3]), np.exp(theta[3])
    assert lengths[0] < 0.6 and lengths[1:].min() > 2 * lengths[0]
    variance = Posterior(kernel, theta, rows, values).variance
    assert (noise * variance) ** 0.5 == pytest.approx(0.1, rel=0.4)


def test_the_same_candidate_twice_is_no_error() -> None:
    space = Space({"a": Categorical((1, 2))})
    encoder = Encoder(space)
    rows = encoder.rows([space.candidate({"a": a}) for a in (1, 1, 2, 2, 2)])
    kernel = Kernel(encoder, paths=False)
    theta = fit(kernel, kernel.means, rows, np.array([1.0, 1.2, -0.8, -0.7, -0.7]))
    mean, _ = Posterior(kernel, theta, rows, np.array([1.0, 1.2, -0.8, -0.7, -0.7])).predict(rows)
    assert mean == pytest.approx([1.1, 1.1, -0.73, -0.73, -0.73], abs=0.1)


def test_what_is_pending_many_times_is_no_error() -> None:
    kernel, encoder, rows, values = _told(CUBE, 10)
    posterior = Posterior(kernel, kernel.means, rows, values)
    again = posterior.expecting(Rows([*rows.rows[:2] * 20, *rows.rows]))
    assert np.isfinite(again.predict(rows)[0]).all() and (again.predict(rows)[1] < 0.05).all()
