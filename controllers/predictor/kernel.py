"""The kernel over candidates, its hyper-parameters with their priors, and its derivatives."""

from __future__ import annotations

import numpy as np

from controllers.predictor.features import Array, Encoder, Rows

SQRT5 = 5.0**0.5
NOISE = 1e-6
"""The least variance of the noise, in units of that of the values."""


class Kernel:
    """w exp(-hamming / a) matern(numbers / b) + (1 - w) exp(-apart / c); a part that no candidate has is left out.

    The hyper-parameters are one vector: the logarithms of a, of each b, and of c, the logit of w, and the logarithm of
    the noise's share of the variance.

    Args:
        encoder: Makes the rows.
        paths: Whether candidates have paths.
        further: How many numbers they have beside their decisions.

    Paper: Rasmussen & Williams, 2006, equation 4.17 (Matern, nu = 5/2); Hvarfner et al., 2024, arXiv
        2402.02229: the prior of a length grows with the root of the number of dimensions.
    """

    def __init__(self, encoder: Encoder, paths: bool, further: int = 0) -> None:
        self._paths = paths
        self._chooses = encoder.chooses
        self._numbers = encoder.numbers + further
        names = ["options"] * self._chooses + ["numbers"] * self._numbers + ["paths", "share"] * paths + ["noise"]
        middles = {"options": 0.5, "numbers": 0.5 * max(self._numbers, 1) ** 0.5, "paths": 0.5, "noise": 0.01}
        spreads = {"noise": 2.0}
        self.names = tuple(names)
        self.means: Array = np.array([np.log(middles.get(name, 1.0)) for name in names])
        """Mean of the normal prior of each hyper-parameter."""
        self.spreads: Array = np.array([spreads.get(name, 1.0) for name in names])
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
        self._names = kernel.names
        self._shape = (len(a), len(b))
        self._rows = a, b
        self._hamming = a.hamming(b) if "options" in self._names else None
        self._apart = a.apart(b) if "paths" in self._names else None

    def __call__(self, theta: Array) -> Array:
        """Return the kernel, (n, m)."""
        decisions, _, _ = self._decisions(theta)
        if self._apart is None:
            return decisions
        share = _share(theta)
        found: Array = share * decisions + (1.0 - share) * np.exp(-self._apart / np.exp(theta[-3]))
        return found

    def gradients(self, theta: Array, weights: Array) -> Array:
        """Return sum_ij weights_ij dk_ij / dtheta for every hyper-parameter but the noise.

        Args:
            theta: The hyper-parameters.
            weights: (n, m).
        """
        decisions, scaled, root = self._decisions(theta)
        share = 1.0 if self._apart is None else _share(theta)
        found: list[float] = []
        weighted = share * weights * decisions
        if self._hamming is not None:
            found.append(float((weighted * self._hamming).sum() / np.exp(theta[0])))
        scales = self._scales(theta)
        if len(scales):
            # d matern / d log b_d = 5/3 (1 + sqrt5 r) exp(-sqrt5 r) (difference_d / b_d)**2
            part = weighted * (5.0 / 3.0) * (1.0 + SQRT5 * root) / (1.0 + SQRT5 * root + 5.0 / 3.0 * scaled)
            for d, scale in enumerate(scales):
                difference = self._rows[0].numbers[:, d, None] - self._rows[1].numbers[None, :, d]
                found.append(float((part * (difference / scale) ** 2).sum()))
        if self._apart is not None:
            length = np.exp(theta[-3])
            paths = np.exp(-self._apart / length)
            found.append(float((1.0 - share) * (weights * paths * self._apart).sum() / length))
            found.append(float(share * (1.0 - share) * (weights * (decisions - paths)).sum()))
        return np.array(found)

    def _scales(self, theta: Array) -> Array:
        start = self._names.count("options")
        found: Array = np.exp(theta[start : start + self._names.count("numbers")])
        return found

    def _decisions(self, theta: Array) -> tuple[Array, Array, Array]:
        scales = self._scales(theta)
        options = None if self._hamming is None else np.exp(-self._hamming / np.exp(theta[0]))
        if not len(scales):
            empty = np.zeros((0, 0))
            return (np.ones(self._shape) if options is None else options), empty, empty
        scaled = self._rows[0].squares(self._rows[1], scales)
        root = np.sqrt(scaled)
        matern = (1.0 + SQRT5 * root + 5.0 / 3.0 * scaled) * np.exp(-SQRT5 * root)
        return (matern if options is None else matern * options), scaled, root


def _share(theta: Array) -> float:
    return float(1.0 / (1.0 + np.exp(-theta[-2])))
