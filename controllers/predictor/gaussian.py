"""A Gaussian process: its posterior, what is pending, and its hyper-parameters.

Paper: Rasmussen & Williams, 2006, algorithm 2.1 and equations 5.8 and 5.9.
"""

from __future__ import annotations

from copy import copy

import numpy as np

from controllers.predictor.features import Array, Rows
from controllers.predictor.kernel import NOISE, Kernel, Prepared

PRIOR = 1.0
"""Told values that the prior of the variance, an inverse gamma with mean 1, counts for."""
STEPS = 20
"""Iterations of a fit at most; it starts where the last one ended."""


class Posterior:
    """What is known of all candidates after some were told.

    Args:
        kernel: The kernel.
        theta: Its hyper-parameters.
        rows: The n candidates that were told.
        values: What each was worth, standardized, (n,).
    """

    def __init__(self, kernel: Kernel, theta: Array, rows: Rows, values: Array) -> None:
        from scipy.linalg import cho_solve

        self._kernel, self._theta = kernel, theta
        self._told = rows
        self._awaited: Rows | None = None
        matrix = kernel.between(theta, rows, rows)
        matrix[np.diag_indices_from(matrix)] += kernel.noise(theta)
        self._factor: Array = _factored(matrix)
        self._weights: Array = cho_solve((self._factor, True), values, check_finite=False)
        self.variance = _variance(values, self._weights)
        self.best = float((values - kernel.noise(theta) * self._weights).max())
        """The greatest mean of a told candidate: its value with the noise taken out."""

    def expecting(self, rows: Rows) -> Posterior:
        """Return what is known if each of some candidates that are being evaluated is worth what is predicted of it.

        The predictions do not change, their variances shrink, and the best is no less than what is predicted.

        Args:
            rows: The candidates, in the order in which they were asked for.

        Paper: Ginsbourger et al., 2010 (kriging believer); Desautels et al., 2014, arXiv 1206.6402.
        """
        other = copy(self)
        other._await(rows)
        return other

    def _await(self, rows: Rows) -> None:
        from scipy.linalg import solve_triangular

        self._awaited = rows
        cross = self._kernel.between(self._theta, self._told, rows)
        below = solve_triangular(self._factor, cross, lower=True, check_finite=False)
        rest = self._kernel.between(self._theta, rows, rows) - below.T @ below
        rest[np.diag_indices_from(rest)] += NOISE
        self.best = max(self.best, float((self._weights @ cross).max()))
        self._factor = _bordered(self._factor, below, _factored(rest))

    def predict(self, rows: Rows) -> tuple[Array, Array]:
        """Return mean and standard deviation of the values of m candidates, without noise, (m,) each."""
        from scipy.linalg import solve_triangular

        cross = self._kernel.between(self._theta, self._told, rows)
        mean = self._weights @ cross
        if self._awaited is not None:
            cross = np.concatenate([cross, self._kernel.between(self._theta, self._awaited, rows)])
        below = solve_triangular(self._factor, cross, lower=True, check_finite=False)
        left = np.maximum(1.0 - np.einsum("ij,ij->j", below, below), 1e-12)
        return mean, np.sqrt(self.variance * left)


def _factored(matrix: Array) -> Array:
    """The Cholesky factor; where rounding has left the matrix not positive definite, with more noise."""
    from scipy.linalg import cholesky

    more = NOISE * np.eye(len(matrix))
    for factor in (0.0, 1.0, 1e2, 1e4):
        try:
            found: Array = cholesky(matrix + factor * more, lower=True, check_finite=False)
            return found
        except np.linalg.LinAlgError:
            continue
    raise np.linalg.LinAlgError(f"{len(matrix)} candidates have a kernel that is not positive definite")


def _bordered(factor: Array, below: Array, corner: Array) -> Array:
    n, m = below.shape
    whole = np.zeros((n + m, n + m))
    whole[:n, :n], whole[n:, :n], whole[n:, n:] = factor, below.T, corner
    return whole


def _variance(values: Array, weights: Array) -> float:
    return float((values @ weights + PRIOR) / (len(values) + PRIOR))


def fit(kernel: Kernel, theta: Array, rows: Rows, values: Array) -> Array:
    """Return the hyper-parameters that are most probable, found from `theta` on.

    Args:
        kernel: The kernel.
        theta: Where to start.
        rows: The candidates that were told.
        values: What each was worth, standardized, (n,).
    """
    from scipy.optimize import minimize

    prepared = kernel.prepared(rows, rows)
    bounds = kernel.bounds
    start = np.clip(theta, *np.array(bounds).T)
    found = minimize(
        lambda at: cost(kernel, at, prepared, values),
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": STEPS},
    )
    return np.array(found.x) if np.isfinite(found.fun) else start


def cost(kernel: Kernel, theta: Array, prepared: Prepared, values: Array) -> tuple[float, Array]:
    """Return minus the logarithm of the hyper-parameters' posterior, up to a constant, and its gradient.

    The variance is set to the best for `theta`.

    Args:
        kernel: The kernel.
        theta: The hyper-parameters.
        prepared: The distances of the n candidates among one another.
        values: (n,).
    """
    from scipy.linalg import cho_solve, cholesky

    n = len(values)
    matrix = prepared(theta)
    matrix[np.diag_indices_from(matrix)] += kernel.noise(theta)
    off = (theta - kernel.means) / kernel.spreads
    try:
        factor = cholesky(matrix, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(theta)
    inverse = cho_solve((factor, True), np.eye(n), check_finite=False)
    weights = inverse @ values
    variance = _variance(values, weights)
    value = 0.5 * (n + PRIOR) * np.log(variance) + np.log(np.diag(factor)).sum() + 0.5 * (off @ off)
    # d cost / d matrix; the variance at its best adds nothing of its own.
    slope = 0.5 * (inverse - np.outer(weights, weights) / variance)
    noise = float(np.trace(slope) * np.exp(theta[-1]))
    gradient = np.append(prepared.gradients(theta, slope), noise) + off / kernel.spreads
    return float(value), gradient
