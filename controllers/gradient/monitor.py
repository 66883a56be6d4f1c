"""Whether gradient search still searches: the skips among what it would find now, and how sure its logits are."""

from __future__ import annotations

import math

import numpy as np

from search_spaces.discretize import softmax
from search_spaces.relax import Logits, Relaxable

SKIP = "skip"
SKIPS, COLLAPSED = "arch/skip_ratio", "arch/collapsed"
"""Metrics of a supernet: the share of skips, and 1 where it is more than may be."""
COLLAPSE = "more of the operations found are skips: the search has collapsed"


def skip_ratio(architecture: Relaxable, logits: Logits) -> float:
    """Returns the share of skips among the operations that logits stand for.

    Args:
        architecture: Which decodes them.
        logits: As its layout says.
    """
    operations = [value for value in architecture.decode(logits).values() if isinstance(value, str)]
    return operations.count(SKIP) / len(operations)


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
