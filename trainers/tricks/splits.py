"""Which training rows weights learn from, and which an architecture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search_spaces.recipe import SeparateSplits
from trainers.data.splits import architecture_learns, halves
from trainers.tricks.registry import implements


@implements(SeparateSplits)
class Splits:
    """Training rows in two parts, by a keyed hash of their numbers: all trials of all searches have the same.

    Args:
        spec: The share of each, and when the second is used.
        rows: (N,) training rows.

    Attributes:
        weights: Rows from which weights are learned.
        architecture: Rows from which the weights of an architecture are learned.

    Raises:
        ValueError: A part would be empty.
    """

    def __init__(self, spec: SeparateSplits, rows: NDArray[np.int64]) -> None:
        self.spec = spec
        self.weights, self.architecture = halves(rows, 0, spec.share)
        if not (len(self.weights) and len(self.architecture)):
            raise ValueError(f"separate_splits: {len(rows)} training rows with share {spec.share} leave a part empty")

    def architecture_learns(self, progress: float) -> bool:
        """Returns whether the architecture is learned yet; before, it stays as it is.

        Args:
            progress: Share of training done.
        """
        return architecture_learns(progress, self.spec.start)
