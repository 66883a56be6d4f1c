"""From the logits of a relaxed network to one of the networks that it holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Edge = tuple[int, int]
"""Where an edge comes from, and the number of its operation."""


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the weights of logits (..., options), which sum to 1 over the last dimension."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weights: NDArray[np.float64] = raised / raised.sum(axis=-1, keepdims=True)
    return weights


def best_operations(
    logits: NDArray[np.float64], nodes: int, excluded: int | None = None, kept: int = 2
) -> tuple[tuple[Edge, ...], ...]:
    """Returns for each node the edges with the best operations, by the sources ascending.

    An edge is worth the greatest weight of an operation on it; of equals the first counts.

    Args:
        logits: (edges, operations), node by node: node i has one edge from each of the two inputs and i nodes before.
        nodes: Number of nodes.
        excluded: The operation that cannot be chosen, but for which the weights of the others make way.
        kept: Edges that a node keeps.

    Paper: Liu et al., 2019, arXiv 1806.09055, section 2.4.
    """
    weights = softmax(np.asarray(logits, dtype=np.float64))
    if excluded is not None:
        weights[:, excluded] = -1.0
    found, start = [], 0
    for node in range(nodes):
        rows = weights[start : start + node + 2]
        order = np.argsort(-rows.max(axis=1), kind="stable")[:kept]
        found.append(tuple((int(source), int(rows[source].argmax())) for source in sorted(order)))
        start += node + 2
    return tuple(found)
