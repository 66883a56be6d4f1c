"""Skips and entropy of logits."""

import math

import numpy as np

from controllers.gradient.monitor import entropy, skip_ratio
from search_spaces.architectures.darts import PRIMITIVES, darts
from search_spaces.reference import reference


def test_skips_are_counted_in_what_would_be_found():
    logits = {name: np.zeros((5, 8)) for name in ("normal", "reduction")}
    assert skip_ratio(darts(nodes=2), logits) == 0.0
    logits["normal"][:3, PRIMITIVES.index("skip")] = 1.0
    # Edges 0 and 1 make the first node, 2 is one of the two of the second.
    assert skip_ratio(darts(nodes=2), logits) == 3 / 4
    logits["normal"][:, PRIMITIVES.index("skip")] = 1.0
    assert skip_ratio(darts(nodes=2), logits) == 1.0


def test_skips_of_a_reduction_cell_are_no_collapse():
    cells = reference("darts-v2").architecture
    logits = {name: np.zeros((14, 8)) for name in ("normal", "reduction")}
    for name, rows in logits.items():
        for i, node in enumerate(getattr(cells, name).nodes):
            for source, operation in node.edges():
                rows[sum(range(2, i + 2)) + source, PRIMITIVES.index(operation)] = 1.0
    assert [value for path, value in darts().decode(logits).items() if path.startswith("reduction")].count("skip") == 3
    assert skip_ratio(darts(), logits) == 2 / 8
    logits["reduction"][:, PRIMITIVES.index("skip")] = 2.0
    assert skip_ratio(darts(), logits) == 2 / 8


def test_entropy_is_a_share_of_that_of_equal_weights():
    assert math.isclose(entropy({"a": np.zeros((3, 8)), "b": np.full((2, 5), 7.0)}), 1.0)
    sure = np.zeros((1, 4))
    sure[0, 2] = 1e4
    assert entropy({"a": sure}) < 1e-9
    assert math.isclose(entropy({"a": np.array([[0.0, 0.0, -1e9, -1e9]])}), 0.5)
