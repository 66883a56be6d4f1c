"""Boxes against numbers worked out by hand."""

import math

import torch

from search_spaces.operators.boxes import (
    anchor_boxes,
    area,
    at_least_a_pixel,
    cell_deltas,
    clip,
    decode,
    encode,
    iou_matrix,
)


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


def test_f02_decoding_undoes_encoding():
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


def test_anchors_may_lie_off_the_middle_of_a_position():
    found = anchor_boxes((8, 16), (8,), (((2, 4), (2, 4, 1.0, -2.0)),))
    assert found.tolist() == [[3, 2, 5, 6], [4, 0, 6, 4], [11, 2, 13, 6], [12, 0, 14, 4]]
    with_device = anchor_boxes((9, 17), (8, 16), (((2, 4), (6, 6)), ((10, 20, 0.0, 0.0),)), "meta")
    assert with_device.shape == (2 * 2 * 3 + 1 * 2, 4)


def test_f04_zeros_are_the_middle_of_a_cell_and_the_size_of_its_anchor():
    anchors = anchor_boxes((16, 16), (8,), (((10, 6), (3, 5)),))
    sizes, steps = anchors[:, 2:] - anchors[:, :2], torch.full((8, 1), 8.0)
    assert torch.equal(decode(cell_deltas(torch.zeros(8, 4), sizes, steps), anchors), anchors)
    # b_xy = (sigmoid(t) + c) s, b_wh = p exp(t).
    rng = torch.Generator().manual_seed(0)
    t = torch.randn(8, 4, generator=rng)
    boxes = decode(cell_deltas(t, sizes, steps), anchors)
    cells = torch.tensor([[x, y] for y in (0.0, 1) for x in (0.0, 1) for _ in range(2)])
    assert torch.allclose((boxes[:, :2] + boxes[:, 2:]) / 2, (t[:, :2].sigmoid() + cells) * 8, atol=1e-5)
    assert torch.allclose(boxes[:, 2:] - boxes[:, :2], sizes * t[:, 2:].exp(), atol=1e-4)


def test_f04_a_middle_never_leaves_its_cell():
    far = torch.tensor([[99.0, -99.0, 0, 0]])
    box = decode(
        cell_deltas(far, torch.tensor([[10.0, 10.0]]), torch.tensor([[8.0]])), torch.tensor([[-1.0, -1, 9, 9]])
    )
    assert box.tolist() == [[3, -5, 13, 5]]


def test_no_box_is_thinner_than_a_pixel_or_outside_of_the_image():
    found = at_least_a_pixel(torch.tensor([[5.0, 5, 5, 9], [40, -9, 50, -5], [-3, -3, 99, 99]]), (20, 30))
    assert found.tolist() == [[5, 5, 6, 9], [29, 0, 30, 1], [0, 0, 30, 20]]
