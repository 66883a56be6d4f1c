"""Heads that answer at every anchor, as specs: levels, readings, parameters by formula, refusals."""

import math

import pytest
import torch

from search_spaces.blocks.anchors import BlazeAnchors, GridAnchors
from search_spaces.blocks.base import Feature
from search_spaces.blocks.detection import (
    DenseHead,
    DetectionHead,
    Guided,
    LightRpn,
    OneStage,
    PoolingPyramid,
    Reading,
    Rpn,
    Ssd,
    Yolo,
)
from search_spaces.errors import SpecError
from search_spaces.spec import kinds

WIDE = (Feature(256, 8), Feature(256, 16))
THREE = GridAnchors(scales=(1.0,))


def _params(head: DetectionHead, outputs: int, anchors=THREE, maps=WIDE) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in head.build(maps, outputs, anchors).parameters())


def test_f02_f04_parameters_by_formula():
    towers, outputs = 8 * (9 * 256 * 256 + 256), 9 * 256 * (9 * 84) + 9 * 84
    assert _params(OneStage(norm="none"), 80, GridAnchors()) == towers + outputs
    assert _params(OneStage(norm="group"), 80, GridAnchors()) == towers + 8 * 256 + outputs
    # F02: 256 channels and three anchors.
    assert _params(Rpn(), 1) == 593_935
    light = 25 * 256 + 2 * 256 + 256 * 128 + 2 * 128
    assert _params(LightRpn(width=128), 1) == light + 128 * 15 + 15
    # F04: three anchors with four numbers, objectness and 80 classes, on each of two levels.
    assert _params(Yolo(hidden=64), 80) == 2 * (9 * 256 * 64 + 2 * 64 + 64 * 255 + 255)


def test_f03_each_level_has_weights_of_its_own_whatever_its_channels_and_anchors():
    maps, anchors = (Feature(6, 8), Feature(10, 16)), BlazeAnchors()
    plain = 9 * 6 * 2 * (5 + 4) + 2 * (5 + 4) + 9 * 10 * 6 * (5 + 4) + 6 * (5 + 4)
    assert _params(Ssd(scores="sigmoid"), 5, anchors, maps) == plain
    # The background has a logit, too.
    assert _params(Ssd(), 5, anchors, maps) == plain + 9 * 6 * 2 + 2 + 9 * 10 * 6 + 6
    extra = 10 * 4 + 4 + 9 * 4 * 8 + 8
    last = 9 * 8 * 6 * 9 + 6 * 9 - (9 * 10 * 6 * 9 + 6 * 9) + 9 * 10 * 2 * 9 + 2 * 9
    head = Ssd(scores="sigmoid", extra_levels=1, extra_width=8)
    assert head.levels(maps) == (*maps, Feature(8, 32))
    assert _params(head, 5, anchors, maps) == plain + extra + last


def test_f09_a_shared_predictor_has_as_many_parameters_for_any_number_of_levels():
    found = {_params(PoolingPyramid(pooled=pooled), 20, maps=WIDE[:levels]) for pooled in (0, 3) for levels in (1, 2)}
    assert found == {256 * 256 + 256 + 9 * 256 * 3 * 24 + 3 * 24}
    assert [feature.stride for feature in PoolingPyramid(pooled=3).levels(WIDE)] == [8, 16, 32, 64, 128]


def test_readings_say_how_many_logits_there_are():
    assert Rpn().readings() == (Reading("sigmoid"),)
    assert [Reading(scores).logits(20) for scores in ("sigmoid", "softmax", "objectness")] == [20, 21, 21]
    assert Ssd().readings()[0].scores == "softmax" and Yolo().readings()[0].scores == "objectness"


def test_the_prior_is_the_bias_of_the_classes():
    maps = (Feature(8, 4),)
    module = OneStage(prior=0.2).build(maps, 3, GridAnchors())
    assert module.classes.bias.sigmoid().tolist() == pytest.approx([0.2] * 27)
    assert math.isclose(module.boxes.weight.std().item(), 0.01, rel_tol=0.2)
    bias = Ssd(prior=0.2).build(maps, 3, THREE).classes[0].bias.view(3, 4)
    # Each class is a quarter as likely as the background.
    assert bias.softmax(1)[0].tolist() == pytest.approx([1 / 7, 1 / 7, 1 / 7, 4 / 7])
    yolo = Yolo(prior=0.2).build(maps, 3, THREE).predictors[0].bias.view(3, 8)
    assert yolo[:, 4].sigmoid().tolist() == pytest.approx([0.2] * 3) and not yolo[:, :4].any()


@pytest.mark.parametrize(
    "head", [OneStage(), Rpn(), LightRpn(), PoolingPyramid(), Guided()], ids=lambda head: head.kind
)
def test_a_head_shared_by_all_levels_refuses_maps_of_different_channels(head):
    with pytest.raises(SpecError, match="a head shared by all levels reads maps of equal channels"):
        head.build((Feature(8, 4), Feature(16, 8)), 3, THREE)


def test_a_wrong_number_is_refused_by_path():
    with pytest.raises(SpecError, match="^threshold: out of range"):
        DenseHead.from_data({"kind": "guided", "threshold": 1.0})
    with pytest.raises(SpecError, match="unknown kind of densehead, did you mean 'yolo'"):
        DenseHead.from_data({"kind": "yolov"})


def test_every_head_says_what_it_costs():
    for kind, head in kinds(DetectionHead).items():
        found = head().cost(32)
        assert found is not None and found.params > 0 and found.macs > 0, kind
