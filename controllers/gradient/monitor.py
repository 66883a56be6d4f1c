"""Whether gradient search still searches: the skips among what it would find now, and how sure its logits are."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from search_spaces.discretize import softmax
from search_spaces.relax import Logits, Relaxable

SKIP = "skip"
SKIPS, COLLAPSED = "arch/skip_ratio", "arch/collapsed"
"""Metrics of a supernet: the share of skips, and 1 where it has reached the limit."""
COLLAPSE = "so many operations of a cell are skips: the search has collapsed"
UNWATCHED = "reduction"
"""The cell whose skips do not count: those from its inputs are convolutions, and the published ones have many."""


def skip_ratio(architecture: Relaxable, logits: Logits) -> float:
    """Returns the share of skips among the operations of a cell that logits stand for, of the cell with the most.

    The reduction cell does not count.

    Args:
        architecture: Which decodes them.
        logits: As its layout says.
    """
    cells: dict[str, list[str]] = defaultdict(list)
    for path, value in architecture.decode(logits).items():
        if isinstance(value, str):
            cells[path.partition("/")[0]].append(value)
    watched = (operations for name, operations in cells.items() if name != UNWATCHED)
    return max((operations.count(SKIP) / len(operations) for operations in watched), default=0.0)


def entropy(logits: Logits) -> float:
    """Returns the mean entropy of the rows of logits over that of equal weights: 1 at the start, 0 when all is decided.

    Args:
        logits: Name -> (places, options).
    """
    shares = []
    for rows in logits.values():
        weights = softmax(np.asarray(rows, dtype=np.float64))
        each = -(weights * np.log(np.maximum(weights, 1e-300))).sum(axis=-1)
        shares += (each / math.log(weights.shape[-1])).tolist()
    return math.fsum(shares) / len(shares)
