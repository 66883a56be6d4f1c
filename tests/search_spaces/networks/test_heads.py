"""Detection heads: order of the anchors, parameters by formula, proposals."""

import torch

from search_spaces.blocks.base import Feature
from search_spaces.blocks.heads import GridAnchors, OneStage, TwoStage
from search_spaces.operators.boxes import anchor_boxes, area, iou_matrix

FEATURES = (Feature(8, 4), Feature(8, 8))
ANCHORS = GridAnchors(scales=(1.0,))
SMALL = TwoStage(candidates=40, proposals=10, hidden=12, size=3)


def _params(module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameters_by_formula():
    with torch.device("meta"):
        wide = (Feature(256, 8), Feature(256, 16))
        assert _params(TwoStage().build(wide, 20, ANCHORS).rpn) == 593_935
        plain = OneStage(norm="none").build(wide, 80, GridAnchors())
        towers, outputs = 8 * (9 * 256 * 256 + 256), 9 * 256 * (9 * 84) + 9 * 84
        assert _params(plain) == towers + outputs
        assert _params(OneStage(norm="group").build(wide, 80, GridAnchors())) == towers + 8 * 256 + outputs
        second = TwoStage().build(wide, 20, ANCHORS)
        fc = 49 * 256 * 1024 + 1024 + 1024 * 1024 + 1024
        assert _params(second) - _params(second.rpn) == fc + 1024 * 21 + 21 + 1024 * 4 + 4


def test_outputs_stand_in_the_order_of_the_anchors():
    module = OneStage(depth=0).build(FEATURES, 2, ANCHORS)
    maps = [torch.randn(1, 8, 3, 4), torch.randn(1, 8, 2, 2)]
    logits, deltas = module(maps)
    assert logits.shape == (1, 3 * (12 + 4), 2) and deltas.shape == (1, 48, 4)
    level, i, j, shape = 0, 2, 1, 1
    at = 3 * (i * 4 + j) + shape
    assert torch.equal(logits[0, at], module.classes(maps[level])[0, 2 * shape : 2 * shape + 2, i, j])
    assert torch.equal(deltas[0, 36 + 3 * 3 + 2], module.boxes(maps[1])[0, 8:12, 1, 1])
    centre = anchor_boxes((12, 16), (4, 8), ANCHORS.shapes((4, 8)))[at].view(2, 2).mean(0)
    assert torch.allclose(centre, torch.tensor([(j + 0.5) * 4, (i + 0.5) * 4]))


def _first_stage(seed=0):
    rng = torch.Generator().manual_seed(seed)
    module = SMALL.build(FEATURES, 3, ANCHORS)
    anchors = anchor_boxes((20, 30), (4, 8), module.shapes)
    objectness = torch.randn(2, len(anchors), generator=rng)
    return module, anchors, objectness, torch.randn(2, len(anchors), 4, generator=rng) * 0.3


def test_proposals_lie_in_the_image_and_the_best_comes_first():
    module, anchors, objectness, deltas = _first_stage()
    found = module.propose(objectness, deltas * 0, (20, 30))
    assert found.shape == (2, 10, 4)
    assert (found >= 0).all() and (found[..., 0::2] <= 30).all() and (found[..., 1::2] <= 20).all()
    best = anchors[objectness.argmax(1)]
    clipped = torch.stack([best[:, 0::2].clamp(0, 30), best[:, 1::2].clamp(0, 20)], dim=-1).flatten(1)
    assert torch.equal(found[:, 0], clipped)


def test_proposals_that_overlap_a_better_one_come_last():
    module, _, objectness, deltas = _first_stage()
    found = module.propose(objectness, deltas, (20, 30))[0]
    overlap = (iou_matrix(found, found) > SMALL.overlap).triu(1)
    repeated = overlap.any(0)
    assert not repeated[: int((~repeated).sum())].any()
    few = SMALL.model_copy(update={"candidates": 10, "overlap": 0.1}).build(FEATURES, 3, ANCHORS)
    crowded = few.propose(objectness, deltas, (20, 30))[0]
    assert len(crowded) == 10 and (iou_matrix(crowded, crowded) > 0.1).triu(1).any()  # filled up with what overlaps


def test_a_box_thrown_out_of_the_image_is_still_a_pixel_wide():
    module, _, objectness, deltas = _first_stage()
    found = module.propose(objectness, torch.full_like(deltas, 50.0), (20, 30))
    sides = found[..., 2:] - found[..., :2]
    assert (sides >= 1).all() and (area(found) > 0).all() and found.isfinite().all()


def test_fewer_anchors_than_proposals():
    module = TwoStage().build(FEATURES, 3, ANCHORS)
    objectness, deltas = module([torch.randn(1, 8, 2, 2), torch.randn(1, 8, 1, 1)])
    assert module.propose(objectness, deltas, (8, 8)).shape == (1, 15, 4)


def test_the_second_stage_sees_the_boxes_it_is_given():
    module = SMALL.build(FEATURES, 3, ANCHORS).eval()
    maps = [torch.randn(2, 8, 5, 8), torch.randn(2, 8, 3, 4)]
    boxes = torch.tensor([[1.0, 2, 18, 12], [5, 5, 25, 19], [0, 0, 90, 80]])
    logits, deltas = module.roi_outputs(maps, boxes.expand(2, -1, -1))
    assert logits.shape == (2, 3, 4) and deltas.shape == (2, 3, 4)
    again, _ = module.roi_outputs([x.flip(0) for x in maps], boxes.flip(0).expand(2, -1, -1))
    assert torch.allclose(again.flip(0, 1), logits, atol=1e-6)
