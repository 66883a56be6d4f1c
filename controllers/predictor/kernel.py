"""The kernel over candidates, its hyper-parameters with their priors, and its derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from controllers.predictor.features import BAGS, Array, Encoder, Rows

SQRT5 = 5.0**0.5
NOISE = 1e-6
"""The least variance of the noise, in units of that of the values."""


class Kernel:
    """w_0 exp(-hamming / a) matern(numbers / b) + sum_i w_i exp(-apart_i / c_i), the weights w adding up to one.

    The bags i are the paths of an architecture and the operations on them; parts that no candidate has are left out.
    The hyper-parameters are one vector: the logarithms of a, of each b and of each c, those of w_i / w_0, and the
    logarithm of the noise's share of the variance.

    Args:
        encoder: Makes the rows.
        paths: Whether candidates have paths.
        further: How many numbers they have beside their decisions.

    Paper: Rasmussen & Williams, 2006, equation 4.17 (Matern, nu = 5/2); Hvarfner et al., 2024, arXiv
        2402.02229: the prior of a length grows with the root of the number of dimensions.
    """

    def __init__(self, encoder: Encoder, paths: bool, further: int = 0) -> None:
        options, numbers, bags = int(encoder.chooses), encoder.numbers + further, BAGS if paths else ()
        shares = [f"share of {bag}" for bag in bags]
        self.names = ("options",) * options + ("numbers",) * numbers + (*bags, *shares, "noise")
        ends = np.cumsum([0, options, numbers, len(bags), len(bags)]).tolist()
        self.parts = tuple(slice(start, end) for start, end in pairwise(ends))
        """Where the lengths of options, numbers and bags stand in the vector, and where the bags' weights."""
        middles = {"options": 0.5, "numbers": 0.5 * max(numbers, 1) ** 0.5, **dict.fromkeys(BAGS, 0.5), "noise": 0.01}
        self.means: Array = np.array([np.log(middles.get(name, 1.0)) for name in self.names])
        """Mean of the normal prior of each hyper-parameter."""
        self.spreads: Array = np.array([2.0 if name == "noise" else 1.0 for name in self.names])
        """Standard deviation of the prior."""

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """The least and the greatest value of each hyper-parameter: four standard deviations of its prior."""
        reach = 4.0 * self.spreads
        return list(zip((self.means - reach).tolist(), (self.means + np.minimum(reach, 4.6)).tolist(), strict=True))

    def noise(self, theta: Array) -> float:
        """Return the variance of the noise, in units of that of the values."""
        return float(np.exp(theta[-1])) + NOISE

    def between(self, theta: Array, a: Rows, b: Rows) -> Array:
        """Return the kernel between candidates, (n, m)."""
        return self.prepared(a, b)(theta)

    def prepared(self, a: Rows, b: Rows) -> Prepared:
        """Return what the kernel between two sets of candidates needs, whatever the hyper-parameters."""
        return Prepared(self, a, b)


class Prepared:
    """The distances between two sets of candidates."""

    def __init__(self, kernel: Kernel, a: Rows, b: Rows) -> None:
        _, self._numbers, self._bags, self._shares = kernel.parts
        self._shape = (len(a), len(b))
        self._rows = a, b
        self._hamming = a.hamming(b) if "options" in kernel.names else None
        self._apart = a.apart(b) if BAGS[0] in kernel.names else []

    def __call__(self, theta: Array) -> Array:
        """Return the kernel, (n, m)."""
        decisions, _, _ = self._decisions(theta)
        if not self._apart:
            return decisions
        return _mixed(self._weights(theta), [decisions, *self._similar(theta)])

    def gradients(self, theta: Array, weights: Array) -> Array:
        """Return sum_ij weights_ij dk_ij / dtheta for every hyper-parameter but the noise.

        Args:
            theta: The hyper-parameters.
            weights: (n, m).
        """
        decisions, scaled, root = self._decisions(theta)
        mix, similar = self._weights(theta), self._similar(theta)
        found: list[float] = []
        weighted = mix[0] * weights * decisions
        if self._hamming is not None:
            found.append(float((weighted * self._hamming).sum() / np.exp(theta[0])))
        scales = np.exp(theta[self._numbers])
        if len(scales):
            # d matern / d log b_d = 5/3 (1 + sqrt5 r) exp(-sqrt5 r) (difference_d / b_d)**2
            part = weighted * (5.0 / 3.0) * (1.0 + SQRT5 * root) / (1.0 + SQRT5 * root + 5.0 / 3.0 * scaled)
            for d, scale in enumerate(scales):
                difference = self._rows[0].numbers[:, d, None] - self._rows[1].numbers[None, :, d]
                found.append(float((part * (difference / scale) ** 2).sum()))
        lengths = np.exp(theta[self._bags])
        for share, alike, apart, length in zip(mix[1:], similar, self._apart, lengths, strict=True):
            found.append(float(share * (weights * alike * apart).sum() / length))
        if similar:
            whole = _mixed(mix, [decisions, *similar])
            found += [
                float(share * (weights * (alike - whole)).sum()) for share, alike in zip(mix[1:], similar, strict=True)
            ]
        return np.array(found)

    def _weights(self, theta: Array) -> Array:
        shares: Array = np.exp(np.append(0.0, theta[self._shares]))
        found: Array = shares / shares.sum()
        return found

    def _similar(self, theta: Array) -> list[Array]:
        lengths = np.exp(theta[self._bags])
        return [np.exp(-apart / length) for apart, length in zip(self._apart, lengths, strict=True)]

    def _decisions(self, theta: Array) -> tuple[Array, Array, Array]:
        scales = np.exp(theta[self._numbers])
        options = None if self._hamming is None else np.exp(-self._hamming / np.exp(theta[0]))
        if not len(scales):
            empty = np.zeros((0, 0))
            return (np.ones(self._shape) if options is None else options), empty, empty
        scaled = self._rows[0].squares(self._rows[1], scales)
        root = np.sqrt(scaled)
        matern = (1.0 + SQRT5 * root + 5.0 / 3.0 * scaled) * np.exp(-SQRT5 * root)
        return (matern if options is None else matern * options), scaled, root


def _mixed(weights: Array, parts: Sequence[Array]) -> Array:
    found: Array = weights[0] * parts[0]
    for weight, part in zip(weights[1:], parts[1:], strict=True):
        found = found + weight * part
    return found
