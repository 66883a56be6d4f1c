"""The detector's network: outputs, training of both stages, export, names."""

import itertools

import pytest
import torch

from search_spaces.architectures.detector import Detector
from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.heads import GridAnchors, OneStage, TwoStage
from search_spaces.blocks.necks import Fpn
from tests.search_spaces.networks.checks import assert_exports, assert_trains, total

TINY = Resnet(depths=(1, 1, 1), widths=(4, 6, 8))
ANCHORS = GridAnchors(scales=(1.0,))
TWO_STAGE = TwoStage(candidates=30, proposals=8, hidden=16, size=3)
SIZE = (37, 50)
POSITIONS = 10 * 13 + 5 * 7 + 3 * 4


def _detector(head, **neck) -> Detector:
    return Detector(backbone=TINY, neck=Fpn(width=8, **neck), head=head, anchors=ANCHORS)


@pytest.mark.parametrize(("fusion", "norm"), list(itertools.product(("add", "concat"), ("none", "group"))))
def test_one_stage_trains(fusion, norm):
    spec = _detector(OneStage(depth=1, norm=norm), fusion=fusion)
    network, x = spec.build((3, *SIZE), 4), torch.randn(2, 3, *SIZE)
    assert_trains(network, x)
    found = network(x)
    levels = [f"features/neck{i}" for i in range(3)]
    assert sorted(found) == ["features/backbone", *levels, "out", "pyramid"]
    assert [tensor.shape for tensor in found["out"]] == [(2, 3 * POSITIONS, 4)] * 2
    assert len(spec.anchor_boxes(SIZE)) == 3 * POSITIONS
    assert [tensor.shape for tensor in network.eval()(x)] == [(2, 3 * POSITIONS, 4)] * 2
    with pytest.raises(TypeError, match="no second stage"):
        network.roi_outputs(found["pyramid"], torch.zeros(2, 1, 4))


def test_two_stages_train_together():
    spec = _detector(TWO_STAGE, extra_levels=1)
    network, x = spec.build((3, *SIZE), 4), torch.randn(2, 3, *SIZE)
    assert_trains(network, x, lambda found: total(network.roi_outputs(found["pyramid"], found["proposals"][:, :5])))
    found = network(x)
    anchors = 3 * (POSITIONS + 2 * 2)
    assert [tensor.shape for tensor in found["out"]] == [(2, anchors), (2, anchors, 4)]
    assert found["proposals"].shape == (2, 8, 4) and not found["proposals"].requires_grad
    assert [x.shape[2:] for x in found["pyramid"]] == [(10, 13), (5, 7), (3, 4), (2, 2)]
    assert len(spec.anchor_boxes(SIZE)) == anchors


def test_the_eval_output_of_two_stages_is_the_second_one_of_the_proposals():
    network, x = _detector(TWO_STAGE).build((3, *SIZE), 4).eval(), torch.randn(2, 3, *SIZE)
    proposals, logits, deltas = network(x)
    assert (proposals.shape, logits.shape, deltas.shape) == ((2, 8, 4), (2, 8, 5), (2, 8, 4))
    pyramid = network.neck(network.backbone(x))
    again = network.roi_outputs(pyramid, proposals)
    assert torch.equal(again[0], logits) and torch.equal(again[1], deltas)
    alone = network(x[:1])
    assert torch.allclose(alone[0], proposals[:1], atol=1e-4) and torch.allclose(alone[1], logits[:1], atol=1e-5)


@pytest.mark.parametrize("head", [OneStage(depth=1), TWO_STAGE], ids=["one_stage", "two_stage"])
def test_it_can_be_exported(head):
    assert_exports(_detector(head).build((3, *SIZE), 4), torch.randn(2, 3, *SIZE))


def test_names_of_weights():
    one = set(_detector(OneStage(depth=1)).build((3, 32, 32), 4).state_dict())
    assert {name.partition(".")[0] for name in one} == {"backbone", "neck", "head"}
    assert {n for n in one if n.startswith("head")} == {
        f"head.{layer}.{part}"
        for layer in ("class_tower.0", "class_tower.1", "classes", "box_tower.0", "box_tower.1", "boxes")
        for part in (("weight",) if layer.endswith("tower.0") else ("weight", "bias"))
    }
    two = set(_detector(TWO_STAGE).build((3, 32, 32), 4).state_dict())
    assert {n for n in two if n.startswith("head")} == {
        f"head.{layer}.{part}"
        for layer in ("rpn.conv", "rpn.objectness", "rpn.deltas", "fc1", "fc2", "classes", "boxes")
        for part in ("weight", "bias")
    }
