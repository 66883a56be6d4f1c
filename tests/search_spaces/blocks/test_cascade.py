"""Heads of several stages as specs: readings, parameters by formula, refusals."""

import pytest
import torch

from search_spaces.blocks.anchors import GridAnchors
from search_spaces.blocks.base import Feature
from search_spaces.blocks.cascade import Cascade, HybridCascade, Light, TwoStage
from search_spaces.blocks.detection import DetectionHead, OneStage, Ssd, Yolo
from search_spaces.blocks.regions import PsRoiAlign, RoiAlign
from search_spaces.blocks.relation import ObjectRelation
from search_spaces.errors import SpecError

WIDE = (Feature(256, 8), Feature(256, 16))
ANCHORS = GridAnchors(scales=(1.0,))


def _built(head):
    with torch.device("meta"):
        return head.build(WIDE, 20, ANCHORS)


def _params(module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameters_by_formula():
    two, three = _built(TwoStage()), _built(Cascade())
    assert _params(two.rpn) == 593_935
    fc = 49 * 256 * 1024 + 1024 + 1024 * 1024 + 1024
    stage = fc + 1024 * 21 + 21 + 1024 * 4 + 4
    assert _params(two) == 593_935 + stage
    assert _params(three) == 593_935 + 3 * stage


def test_f12_one_linear_layer_on_245_numbers_a_box():
    module = _built(Light())
    (layer,) = module.stages[0].fc
    assert _params(layer) == 245 * 1024 + 1024 == 251_904
    assert module.rpn.conv[0].kernel_size == (5, 5) and module.rpn.conv[0].groups == 256
    # The maps of a neck of 245 channels are what position-sensitive pooling reads.
    narrow = Light(pooling=PsRoiAlign(width=None))
    with torch.device("meta"):
        assert _params(narrow.build((Feature(245, 16),), 20, ANCHORS).stages[0].pooling) == 0


def test_a20_maps_that_vote_are_one_convolution() -> None:
    module = _built(Light(vote=True))
    # For 20 classes, the background and a box: 7x7 maps each.
    assert _params(module) - _params(module.rpn) == (256 + 1) * 49 * (20 + 1 + 4)
    with pytest.raises(SpecError, match="^pooling: the cells of position-sensitive maps vote; got 'roi_align'"):
        Light(vote=True, pooling=RoiAlign()).check_inputs(WIDE)
    with pytest.raises(SpecError, match="^relation: votes leave no features"):
        Light(vote=True, relation=ObjectRelation()).check_inputs(WIDE)


def test_each_stage_codes_its_boxes_more_finely():
    assert [reading.weights for reading in TwoStage().readings()] == [(1, 1, 1, 1), (10, 10, 5, 5)]
    assert [reading.weights[0] for reading in Cascade().readings()] == [1, 10, 20, 30]
    assert [reading.weights[0] for reading in HybridCascade(stages=2).readings()] == [1, 10, 20]
    assert Cascade(stages=1).readings() == TwoStage().readings()
    assert {reading.scores for reading in Cascade().readings()[1:]} == {"softmax"}


def test_any_head_that_answers_at_every_anchor_proposes():
    for first in (OneStage(), Ssd(extra_levels=1), Yolo()):
        head = TwoStage(rpn=first)
        assert head.readings()[0] == first.readings()[0]
        assert head.levels(WIDE) == first.levels(WIDE)
    module = _built(TwoStage(rpn=OneStage(depth=1)))
    assert module.rpn.classes.out_channels == 3  # one class, three anchors


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"pooling": {"kind": "ps_roi_align", "size": 7, "width": None}}, "pooling/width"),
        ({"rpn": {"kind": "yolo"}, "pooling": {"kind": "ps_roi_align", "size": 3, "width": None}}, "pooling/width"),
    ],
)
def test_maps_that_do_not_fit_are_refused_by_path(fields, path):
    head = DetectionHead.from_data({"kind": "two_stage", **fields})
    with pytest.raises(SpecError, match=f"^{path}: "):
        head.check_inputs(WIDE)


def test_parts_that_are_none_are_refused_by_path():
    with pytest.raises(SpecError, match="^rpn: unknown kind of densehead"):
        DetectionHead.from_data({"kind": "two_stage", "rpn": {"kind": "cascade"}})
    with pytest.raises(SpecError, match="^stages: out of range; got 4"):
        DetectionHead.from_data({"kind": "cascade", "stages": 4})
    mixed = (Feature(8, 4), Feature(16, 8))
    with pytest.raises(SpecError, match="^rpn: a head shared by all levels"):
        TwoStage().check_inputs(mixed)
    with pytest.raises(SpecError, match="^pooling: boxes of any size are cut out of maps of equal channels"):
        TwoStage(rpn=Ssd()).check_inputs(mixed)
