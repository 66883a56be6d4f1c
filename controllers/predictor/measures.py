"""What was measured of candidates without training them, as further numbers for the kernel."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from controllers.predictor.features import Array
from search_spaces.candidate import Candidate


class Measures:
    """Metrics of candidates that were told, such as zero-cost proxies.

    Args:
        names: The metrics.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._known: dict[Candidate, tuple[float, ...]] = {}

    def note(self, candidate: Candidate, metrics: Mapping[str, float]) -> None:
        """Take in what was told of a candidate, if all of the metrics are finite."""
        values = tuple(float(metrics.get(name, math.nan)) for name in self._names)
        if self._names and all(map(math.isfinite, values)):
            self._known[candidate] = values

    @property
    def candidates(self) -> Iterable[Candidate]:
        """All that were measured, the latest last."""
        return self._known

    def columns(self, candidates: Sequence[Candidate]) -> Array:
        """Return the place of each metric among all that was measured, in [0, 1]; 0.5 where it is unknown, (n, k)."""
        found = np.full((len(candidates), len(self._names)), 0.5)
        known = [(i, self._known[candidate]) for i, candidate in enumerate(candidates) if candidate in self._known]
        if self._names and known:
            rows = [i for i, _ in known]
            for k, column in enumerate(zip(*self._known.values(), strict=True)):
                order = np.sort(column)
                places = np.searchsorted(order, [values[k] for _, values in known], side="left")
                found[rows, k] = (places + 0.5) / len(order)
        return found
