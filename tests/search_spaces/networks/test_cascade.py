"""Heads that look at regions: proposals, stages, what they start from, relations and gates."""

import pytest
import torch
from torch import nn

from search_spaces.architectures.detector import Detector
from search_spaces.blocks.anchors import GridAnchors
from search_spaces.blocks.base import Feature, Gate
from search_spaces.blocks.cascade import Cascade, Light, TwoStage
from search_spaces.blocks.detection import Guided, LightRpn, OneStage, Rpn, Ssd, Yolo
from search_spaces.blocks.regions import PsRoiAlign, RoiAlign
from search_spaces.blocks.relation import Relation
from search_spaces.cost import cost
from search_spaces.operators.boxes import area, at_least_a_pixel, decode, iou_matrix
from tests.search_spaces.networks.checks import assert_exports, counted_macs

FEATURES = (Feature(8, 4), Feature(8, 8))
ANCHORS = GridAnchors(scales=(1.0,))
SMALL = TwoStage(candidates=40, proposals=10, hidden=12, pooling=RoiAlign(size=3))
SIZE = (20, 30)


def _maps(batch: int = 2) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return [torch.randn(batch, 8, 5, 8, generator=rng), torch.randn(batch, 8, 3, 4, generator=rng)]


def _first_stage(spec=SMALL, seed=0):
    """A head, and what its proposals could be made of."""
    rng = torch.Generator().manual_seed(seed)
    module = spec.build(FEATURES, 3, ANCHORS)
    found = module.rpn(_maps(), SIZE)
    count = len(found["starts"])
    found["out"] = (torch.randn(2, count, 1, generator=rng), torch.randn(2, count, 4, generator=rng) * 0.3)
    return module, found


def test_proposals_lie_in_the_image_and_the_best_comes_first():
    module, found = _first_stage()
    found["out"] = (found["out"][0], found["out"][1] * 0)
    boxes = module.propose(found, SIZE)
    assert boxes.shape == (2, 10, 4)
    assert (boxes >= 0).all() and (boxes[..., 0::2] <= 30).all() and (boxes[..., 1::2] <= 20).all()
    best = found["starts"][found["out"][0][..., 0].argmax(1)]
    clipped = torch.stack([best[:, 0::2].clamp(0, 30), best[:, 1::2].clamp(0, 20)], dim=-1).flatten(1)
    assert torch.equal(boxes[:, 0], clipped)


def test_proposals_that_overlap_a_better_one_come_last():
    module, found = _first_stage()
    boxes = module.propose(found, SIZE)[0]
    repeated = (iou_matrix(boxes, boxes) > SMALL.overlap).triu(1).any(0)
    assert not repeated[: int((~repeated).sum())].any()
    few, found = _first_stage(SMALL.model_copy(update={"candidates": 10, "overlap": 0.1}))
    crowded = few.propose(found, SIZE)[0]
    assert len(crowded) == 10 and (iou_matrix(crowded, crowded) > 0.1).triu(1).any()  # filled up with what overlaps


def test_a_box_thrown_out_of_the_image_is_still_a_pixel_wide():
    module, found = _first_stage()
    boxes = module.propose(found | {"out": (found["out"][0], torch.full_like(found["out"][1], 50.0))}, SIZE)
    sides = boxes[..., 2:] - boxes[..., :2]
    assert (sides >= 1).all() and (area(boxes) > 0).all() and boxes.isfinite().all()


def test_fewer_anchors_than_proposals():
    module = TwoStage(hidden=8).build(FEATURES, 3, ANCHORS)
    found = module([torch.randn(1, 8, 2, 2), torch.randn(1, 8, 1, 1)], (8, 8))
    assert found["proposals"].shape == (1, 15, 4)


@pytest.mark.parametrize(
    "first", [Rpn(), OneStage(depth=1), LightRpn(width=8), Ssd(), Yolo(hidden=8), Guided(depth=0)], ids=lambda h: h.kind
)
def test_any_head_proposes(first):
    module = SMALL.model_copy(update={"rpn": first}).build(FEATURES, 3, ANCHORS)
    found = module(_maps(), SIZE)
    assert found["proposals"].shape == (2, 10, 4) and not found["proposals"].requires_grad
    logits, deltas = found["out"]
    likely = logits[..., 0] - logits[..., 1] if first.kind == "ssd" else logits[..., 0]
    best = likely.argmax(1)
    starts = found["starts"].expand(2, -1, -1)[range(2), best]
    expected = at_least_a_pixel(decode(deltas[range(2), best], starts), SIZE)
    assert torch.allclose(found["proposals"][:, 0], expected, atol=1e-4)


def test_the_second_stage_sees_the_boxes_it_is_given():
    module = SMALL.build(FEATURES, 3, ANCHORS).eval()
    maps = _maps()
    boxes = torch.tensor([[1.0, 2, 18, 12], [5, 5, 25, 19], [0, 0, 90, 80]]).expand(2, -1, -1)
    logits, deltas, starts = module.look({"pyramid": maps}, boxes)
    assert logits.shape == (2, 3, 4) and deltas.shape == (2, 3, 4) and starts is boxes
    again = module.look({"pyramid": [x.flip(0) for x in maps]}, boxes.flip(1))
    assert torch.allclose(again.logits.flip(0, 1), logits, atol=1e-6)


def test_f10_one_stage_is_the_two_stage_head():
    fields = SMALL.to_data() | {"kind": "cascade", "stages": 1}
    two, one = SMALL.build(FEATURES, 3, ANCHORS).eval(), Cascade.from_data(fields).build(FEATURES, 3, ANCHORS).eval()
    one.load_state_dict(two.state_dict())
    for mine, other in zip(*(module.final(module(_maps(), SIZE)) for module in (one, two)), strict=True):
        assert torch.equal(mine, other)


def test_f10_each_stage_starts_from_the_boxes_of_the_one_before():
    spec = Cascade(candidates=40, proposals=10, hidden=12, pooling=RoiAlign(size=3))
    module = spec.build(FEATURES, 3, ANCHORS).eval()
    with torch.no_grad():
        for stage in module.stages:
            stage.boxes.weight.mul_(200)
        found = module(_maps(), SIZE)
        boxes, logits = found["proposals"], []
        for stage, weights in enumerate([(10, 10, 5, 5), (20, 20, 10, 10), (30, 30, 15, 15)]):
            answer = module.look(found, boxes, stage)
            starts, boxes = boxes, at_least_a_pixel(decode(answer.deltas, boxes, weights), SIZE)
            logits.append(answer.logits)
            assert (boxes - starts).abs().max() > 0.1
        final = module.answer(found)
    assert torch.equal(final.starts, starts) and torch.equal(final.deltas, answer.deltas)
    assert torch.allclose(final.logits, (logits[0] + logits[1] + logits[2]) / 3, atol=1e-6)


def test_a20_the_cells_of_a_box_vote():
    head = Light(candidates=40, proposals=10, vote=True, pooling=PsRoiAlign(size=2, sampling=1))
    module = head.build(FEATURES, 3, ANCHORS).eval()
    maps, stage = [torch.randn(2, 8, 5, 8), torch.randn(2, 8, 3, 4)], module.stages[0]
    with torch.no_grad():
        stage.pooling.maps.weight.zero_()
        stage.pooling.maps.bias.copy_(torch.arange(32.0))  # of every map the same number everywhere: 8 by 2x2
        answer = module.answer(module(maps, SIZE))
    expected = torch.arange(32.0).view(8, 4).mean(1)
    assert torch.allclose(answer.logits, expected[:4].expand(2, 10, 4))
    assert torch.allclose(answer.deltas, expected[4:].expand(2, 10, 4))
    assert torch.equal(answer.starts, module(maps, SIZE)["proposals"])


def test_a20_a_head_that_votes_learns_is_exported_and_costs_what_torch_counts():
    spec = Detector.from_data(
        {
            "backbone": {"kind": "resnet", "depths": [1, 1], "widths": [4, 8], "stem": "strided"},
            "neck": {"kind": "fpn", "width": 8},
            "head": {"kind": "light", "vote": True, "candidates": 40, "proposals": 6, "rpn": "rpn"},
        }
    )
    network, image = spec.build((3, 32, 40), 3), torch.randn(2, 3, 32, 40)
    found = network.train()(image)
    head = network.head
    logits, deltas, _ = head.look(found, found["proposals"])
    (logits.square().sum() + deltas.square().sum()).backward()
    assert all(bool(p.grad.any()) for p in head.stages.parameters())
    assert_exports(network, image)
    with torch.device("meta"):
        assert cost(spec, (3, 32, 40), 3).macs == counted_macs(spec.build((3, 32, 40), 3), 3, 32, 40)


class Half(nn.Module):
    def forward(self, x: torch.Tensor, guide: torch.Tensor) -> torch.Tensor:
        return x * (guide > 0).any(1, keepdim=True)


class Halving(Gate):
    """A gate for tests; without a kind, so that nobody finds it."""

    def build(self, channels: int, guide: int) -> nn.Module:
        assert (channels, guide) == (8, 6)
        return Half()


class Mean(nn.Module):
    def forward(self, features: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        assert features.shape[:2] == boxes.shape[:2]
        return features.mean(1, keepdim=True).expand_as(features)


class Meaning(Relation):
    """A relation for tests: all boxes become alike."""

    def build(self, channels: int) -> nn.Module:
        assert channels == 12
        return Mean()


def test_f12_a_gate_weighs_the_maps_by_those_of_the_proposals():
    fields = {"rpn": LightRpn(width=6), "candidates": 40, "proposals": 10, "hidden": 12}
    plain = Light(**fields, pooling=PsRoiAlign(size=3)).build(FEATURES, 3, ANCHORS).eval()
    gated = Light(**fields, pooling=PsRoiAlign(size=3), gate=Halving()).build(FEATURES, 3, ANCHORS).eval()
    gated.load_state_dict(plain.state_dict())
    maps = _maps()
    found, other = gated(maps, SIZE), plain(maps, SIZE)
    assert torch.equal(found["proposals"], other["proposals"])
    expected = [x * (guide > 0).any(1, keepdim=True) for x, guide in zip(maps, other["hidden"], strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(found["pyramid"], expected, strict=True))


@pytest.mark.parametrize(("spec", "relations"), [(SMALL, 2), (Light(candidates=40, proposals=10, hidden=12), 1)])
def test_f12_a_relation_stands_behind_every_linear_layer(spec, relations):
    module = spec.model_copy(update={"relation": Meaning()}).build(FEATURES, 3, ANCHORS)
    answer = module.answer(module(_maps(), SIZE))
    assert len(module.stages[0].relations) == len(module.stages[0].fc) == relations
    assert torch.allclose(answer.logits, answer.logits[:, :1].expand_as(answer.logits))
