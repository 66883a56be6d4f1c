"""Suppression against the greedy loop that defines it."""

import pytest
import torch

from search_spaces.operators import nms as module
from search_spaces.operators.boxes import iou_matrix
from search_spaces.operators.nms import batched_nms, nms, plain_nms, suppress


def _boxes(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    low = torch.rand(n, 2, generator=rng) * 60
    return torch.cat([low, low + 3 + torch.rand(n, 2, generator=rng) * 30], dim=1), torch.rand(n, generator=rng)


def _greedy(boxes, scores, threshold):
    left, kept = scores.argsort(descending=True, stable=True).tolist(), []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [i for i in left if iou_matrix(boxes[best : best + 1], boxes[i : i + 1]).item() <= threshold]
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("block", [1, 7, 100])
def test_equals_the_greedy_loop(threshold, block):
    boxes, scores = _boxes(60, seed=3)
    assert plain_nms(boxes, scores, threshold, block).tolist() == _greedy(boxes, scores, threshold)
    assert nms(boxes, scores, threshold).tolist() == _greedy(boxes, scores, threshold)


def test_by_hand():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [2, 0, 12, 10], [50, 50, 60, 60]])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.1])
    assert plain_nms(boxes, scores, 0.7).tolist() == [0, 2, 3]  # 9/11 > 0.7 >= 8/12
    assert plain_nms(boxes, scores, 0.5).tolist() == [0, 3]
    assert plain_nms(boxes, scores, 0.9).tolist() == [0, 1, 2, 3]


def test_classes_do_not_suppress_one_another():
    boxes, scores = _boxes(50, seed=1)
    classes = torch.arange(50) % 3
    one_by_one = [classes.eq(c).nonzero()[:, 0] for c in range(3)]
    kept = torch.cat([i[plain_nms(boxes[i], scores[i], 0.3)] for i in one_by_one])
    found = batched_nms(boxes, scores, classes, 0.3)
    assert sorted(found.tolist()) == sorted(kept.tolist())
    assert (scores[found].diff() <= 0).all()
    assert len(found) > len(plain_nms(boxes, scores, 0.3))


def test_nothing_comes_of_nothing():
    empty, none = torch.empty(0, 4), torch.empty(0)
    assert plain_nms(empty, none, 0.5).tolist() == []
    assert batched_nms(empty, none, none.long(), 0.5).tolist() == []


def test_a_chain_takes_as_many_rounds_as_it_has_links():
    n = 9
    chain = torch.zeros(n, n, dtype=torch.bool)
    chain[torch.arange(n - 1), torch.arange(1, n)] = True  # each overlaps the next
    expected = [i % 2 == 0 for i in range(n)]
    assert suppress(chain).tolist() == expected
    assert suppress(chain, n - 1).tolist() == expected
    assert suppress(chain, n - 3).tolist() != expected
    few = suppress(chain, 3)
    assert few.sum() < sum(expected) and not (few[:-1] & few[1:]).any()


def test_images_of_a_batch_are_decided_each_for_itself():
    overlapping = torch.stack([iou_matrix(*[_boxes(30, seed)[0]] * 2) > 0.4 for seed in range(3)])
    assert torch.equal(suppress(overlapping), torch.stack([suppress(one) for one in overlapping]))


def test_a_compiled_operator_is_used_where_there_is_one(monkeypatch):
    ops = type("Ops", (), {"nms": staticmethod(lambda boxes, scores, threshold: torch.tensor([42]))})
    monkeypatch.setattr(module, "compiled", lambda: ops)
    assert nms(*_boxes(3, seed=0), 0.5).tolist() == [42]
