"""From logits to edges."""

import numpy as np

from search_spaces.discretize import best_operations, softmax


def test_softmax_sums_to_one_and_takes_large_numbers():
    found = softmax(np.array([[1e4, 1e4, 0.0], [0.0, np.log(2.0), np.log(3.0)]]))
    assert np.allclose(found, [[0.5, 0.5, 0.0], [1 / 6, 2 / 6, 3 / 6]])


def test_best_edges_against_a_loop():
    rng = np.random.default_rng(0)
    for _ in range(20):
        logits = rng.normal(size=(14, 8))
        weights, start = np.exp(logits) / np.exp(logits).sum(1, keepdims=True), 0
        for node, found in enumerate(best_operations(logits, 4, excluded=0)):
            worth = sorted(((max(row[1:]), i) for i, row in enumerate(weights[start : start + node + 2])), reverse=True)
            kept = sorted(i for _, i in worth[:2])
            assert [source for source, _ in found] == kept
            assert [k for _, k in found] == [1 + int(np.argmax(weights[start + i, 1:])) for i in kept]
            start += node + 2


def test_equal_weights_give_the_first_and_the_logits_stay():
    logits = np.zeros((2, 3))
    assert best_operations(logits, 1, excluded=0) == (((0, 1), (1, 1)),)
    assert best_operations(logits, 1) == (((0, 0), (1, 0)),)
    assert not logits.any()
