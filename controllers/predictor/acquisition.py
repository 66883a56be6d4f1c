"""What a candidate promises."""

from __future__ import annotations

import numpy as np

from controllers.predictor.features import Array


def expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Return by how much each of m candidates is expected to exceed `best`, nothing where it does not, (m,).

    Args:
        mean: Of the predicted value, (m,).
        deviation: Its standard deviation, positive, (m,).
        best: The value to exceed.

    Paper: Jones, Schonlau & Welch, 1998, equation 15.
    """
    from scipy.special import ndtr

    u = (mean - best) / deviation
    found: Array = (mean - best) * ndtr(u) + deviation * np.exp(-0.5 * u * u) / np.sqrt(2.0 * np.pi)
    return found
