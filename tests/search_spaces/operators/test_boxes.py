"""Boxes against numbers worked out by hand."""

import math

import torch

from search_spaces.operators.boxes import anchor_boxes, area, clip, decode, encode, iou_matrix


def _boxes(n: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    low = torch.rand(n, 2, generator=rng) * 50
    return torch.cat([low, low + 1 + torch.rand(n, 2, generator=rng) * 30], dim=1)


def test_overlaps_by_hand():
    a = torch.tensor([[0.0, 0, 4, 4], [0, 0, 0, 0], [5, 5, 3, 3]])
    b = torch.tensor([[2.0, 2, 6, 6], [0, 0, 4, 2], [0, 0, 0, 0]])
    expected = torch.tensor([[4 / 28, 8 / 16, 0], [0, 0, 0], [0, 0, 0]])
    assert torch.equal(area(a), torch.tensor([16.0, 0, 0]))
    assert torch.allclose(iou_matrix(a, b), expected)
    assert torch.equal(iou_matrix(a[None], b[None])[0], iou_matrix(a, b))


def test_deltas_by_hand():
    anchor, box = torch.tensor([[10.0, 10, 30, 20]]), torch.tensor([[15.0, 10, 55, 30]])
    expected = torch.tensor([[15 / 20, 5 / 10, math.log(2), math.log(2)]])
    assert torch.allclose(encode(box, anchor), expected)
    assert torch.allclose(encode(box, anchor, (10, 10, 5, 5)), expected * torch.tensor([10, 10, 5, 5]))


def test_decoding_undoes_encoding():
    boxes, anchors = _boxes(40), _boxes(40, seed=1)
    for weights in [(1, 1, 1, 1), (10, 10, 5, 5)]:
        assert torch.allclose(decode(encode(boxes, anchors, weights), anchors, weights), boxes, atol=1e-4)
    assert torch.equal(decode(torch.zeros(40, 4), anchors), decode(torch.zeros(40, 4).bfloat16(), anchors))


def test_a_wild_delta_gives_a_finite_box():
    grown = decode(torch.tensor([[0.0, 0, 1e6, 1e6]]), torch.tensor([[0.0, 0, 2, 2]]))
    assert torch.allclose(grown[0, 2:] - grown[0, :2], torch.tensor(2 * 62.5))


def test_clipping_keeps_what_lies_in_the_image():
    boxes = torch.tensor([[-3.0, -2, 50, 40], [5, 5, 6, 6], [70, 80, 90, 99]])
    expected = torch.tensor([[0.0, 0, 30, 20], [5, 5, 6, 6], [30, 20, 30, 20]])
    assert torch.equal(clip(boxes, (20, 30)), expected)


def test_anchors_stand_level_by_level_row_by_row_shape_by_shape():
    found = anchor_boxes((9, 17), (8, 16), (((2, 4), (6, 6)), ((10, 20), (32, 32))))
    assert found.shape == (2 * (2 * 3 + 1 * 2), 4)  # ceil(9/8) x ceil(17/8) positions, then ceil(9/16) x ceil(17/16)
    assert found[0].tolist() == [3, 2, 5, 6]
    assert found[1].tolist() == [1, 1, 7, 7]
    assert found[2].tolist() == [11, 2, 13, 6]  # one column on
    assert found[6].tolist() == [3, 10, 5, 14]  # one row on
    assert found[12].tolist() == [3, -2, 13, 18]


def test_the_published_number_of_default_boxes_of_yolo():
    # 416 x 416 at strides 8, 16, 32 with three anchors a position: 10,647.
    assert len(anchor_boxes((416, 416), (8, 16, 32), (((1.0, 1.0),) * 3,) * 3)) == 10647
