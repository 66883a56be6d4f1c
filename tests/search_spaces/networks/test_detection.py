"""Heads that answer at every anchor: order of the anchors, levels, what they start from."""

import pytest
import torch

from search_spaces.blocks.anchors import BlazeAnchors, GridAnchors
from search_spaces.blocks.base import Feature
from search_spaces.blocks.detection import LightRpn, OneStage, PoolingPyramid, Rpn, Ssd, Yolo
from search_spaces.operators.boxes import anchor_boxes, decode

FEATURES = (Feature(8, 4), Feature(8, 8))
ANCHORS = GridAnchors(scales=(1.0,))
SIZE = (12, 16)
HEADS = [OneStage(depth=0), Rpn(), LightRpn(width=12), Ssd(), PoolingPyramid(pooled=0, hidden=12), Yolo(hidden=12)]


def _maps(batch: int = 1) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(batch, 8, 3, 4, generator=rng), torch.randn(batch, 8, 2, 2, generator=rng)]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.kind)
def test_every_head_says_the_same_kinds_of_things(head):
    module = head.build(FEATURES, 2, ANCHORS).eval()
    found = module(_maps(2), SIZE)
    logits, deltas = found["out"]
    count = 3 * (12 + 4)
    assert logits.shape == (2, count, head.readings()[0].logits(2)) and deltas.shape == (2, count, 4)
    assert torch.equal(found["starts"], anchor_boxes(SIZE, (4, 8), ANCHORS.shapes((4, 8))))
    assert [x.shape for x in found["hidden"]] == [(2, head.guide(FEATURES), 3, 4), (2, head.guide(FEATURES), 2, 2)]
    assert all(torch.equal(a, b) for a, b in zip(module.final(found), (logits, deltas), strict=True))
    answer = module.answer(found)
    assert answer.starts is found["starts"] and answer.logits is logits


def test_outputs_stand_in_the_order_of_the_anchors():
    module, maps = OneStage(depth=0).build(FEATURES, 2, ANCHORS), _maps()
    logits, deltas = module(maps, SIZE)["out"]
    level, i, j, shape = 0, 2, 1, 1
    at = 3 * (i * 4 + j) + shape
    assert torch.equal(logits[0, at], module.classes(maps[level])[0, 2 * shape : 2 * shape + 2, i, j])
    assert torch.equal(deltas[0, 36 + 3 * 3 + 2], module.boxes(maps[1])[0, 8:12, 1, 1])
    centre = anchor_boxes(SIZE, (4, 8), ANCHORS.shapes((4, 8)))[at].view(2, 2).mean(0)
    assert torch.allclose(centre, torch.tensor([(j + 0.5) * 4, (i + 0.5) * 4]))


def test_a_shared_head_leaves_out_what_a_level_with_fewer_anchors_has_no_use_for():
    module, maps = OneStage(depth=0).build(FEATURES, 2, BlazeAnchors()), _maps()
    logits, deltas = module(maps, SIZE)["out"]
    assert logits.shape == (1, 2 * 12 + 6 * 4, 2)
    assert torch.equal(logits[0, :2].flatten(), module.classes(maps[0])[0, :4, 0, 0])
    assert torch.equal(deltas[0, 24:30].flatten(), module.boxes(maps[1])[0, :, 0, 0])


def test_f03_each_level_is_read_by_predictors_of_its_own():
    features = (Feature(8, 4), Feature(6, 8))
    module = Ssd(extra_levels=1, extra_width=10).build(features, 2, ANCHORS)
    maps = [torch.randn(1, 8, 3, 4), torch.randn(1, 6, 2, 2)]
    logits, _ = module(maps, SIZE)["out"]
    assert logits.shape == (1, 3 * (12 + 4 + 1), 3)
    assert torch.equal(logits[0, 36:39].flatten(), module.classes[1](maps[1])[0, :, 0, 0])
    assert torch.equal(logits[0, 48:].flatten(), module.classes[2](module.extra[0](maps[1]))[0, :, 0, 0])


def test_f04_boxes_of_yolo_are_those_of_its_numbers():
    module, maps = Yolo(hidden=12).build(FEATURES, 2, ANCHORS).eval(), _maps()
    found = module(maps, SIZE)
    said = module.predictors[1](module.conv[1](maps[1]))[0, :, 1, 0].view(3, 7)
    logits, deltas = found["out"]
    at = slice(36 + 3 * 2, 36 + 3 * 3)  # second level, second row, first column
    assert torch.equal(logits[0, at], said[:, 4:])
    boxes = decode(deltas[0, at], found["starts"][at])
    middle = (said[:, :2].sigmoid() + torch.tensor([0.0, 1.0])) * 8
    sides = torch.tensor(ANCHORS.shapes((4, 8))[1]) * said[:, 2:4].exp()
    assert torch.allclose(boxes, torch.cat([middle - sides / 2, middle + sides / 2], 1), atol=1e-4)


def test_f09_further_levels_are_maxima():
    module, maps = PoolingPyramid(pooled=2, hidden=12).build(FEATURES, 2, ANCHORS), _maps()
    found = module(maps, SIZE)
    logits, _ = found["out"]
    assert logits.shape == (1, 3 * (12 + 4 + 1 + 1), 2)
    pooled = maps[1].amax((2, 3), keepdim=True)
    assert torch.equal(logits[0, 48:51].flatten(), module.classes(module.relu(module.conv(pooled))).flatten())
    assert torch.equal(logits[0, 48:51], logits[0, 51:]) and len(found["hidden"]) == 2
