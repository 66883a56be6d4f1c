"""Heads and anchors as specs: parameters and shapes by formula."""

import math

import pytest

from search_spaces.blocks.base import Feature
from search_spaces.blocks.heads import (
    GridAnchors,
    Head1x1,
    Head3x3,
    Head3x3Then1x1,
    OneStage,
    SegmentationHead,
    TwoStage,
)
from search_spaces.errors import SpecError
from search_spaces.spec import kinds


@pytest.mark.parametrize(
    ("head", "params"),
    [
        (Head1x1(), 24 * 5 + 5),
        (Head3x3(), 9 * 24 * 5 + 5),
        (Head3x3Then1x1(hidden=7), 9 * 24 * 7 + 7 * 5 + 5 + 2 * 7),
    ],
    ids=["1x1", "3x3", "3x3+1x1"],
)
def test_parameters_of_segmentation_heads(head, params):
    assert sum(p.numel() for p in head.build(24, 5).parameters()) == params
    assert SegmentationHead.from_json(head.to_json()) == head
    assert kinds(SegmentationHead)[head.kind] is type(head)


def test_anchors_of_the_one_stage_paper():
    shapes = GridAnchors().shapes((8, 16))
    assert [len(level) for level in shapes] == [9, 9]
    for stride, level in zip((8, 16), shapes, strict=True):
        areas = {round(width * height) for width, height in level}
        assert areas == {round((4 * stride * 2 ** (i / 3)) ** 2) for i in range(3)}
        assert [round(height / width, 6) for width, height in level] == [0.5] * 3 + [1.0] * 3 + [2.0] * 3
    assert shapes[0][3] == (32, 32)


def test_a_size_a_level():
    anchors = GridAnchors(sizes=(2.0, 3.0), scales=(1.0,), ratios=(4.0,))
    assert anchors.shapes((4, 8)) == (((4.0, 16.0),), ((12.0, 48.0),))
    with pytest.raises(SpecError, match="sizes: anchors have one size for all levels or one a level"):
        anchors.shapes((4, 8, 16))


def test_the_second_stage_codes_its_boxes_more_finely():
    assert (OneStage.stages, TwoStage.stages) == (1, 2)
    assert OneStage.delta_weights == TwoStage.proposal_weights == (1, 1, 1, 1)
    assert TwoStage.delta_weights == (10, 10, 5, 5)


def test_the_prior_is_the_bias_of_the_classes():
    module = OneStage(prior=0.2).build((Feature(8, 4),), 3, GridAnchors())
    assert module.classes.bias.sigmoid().tolist() == pytest.approx([0.2] * 27)
    assert math.isclose(module.boxes.weight.std().item(), 0.01, rel_tol=0.2)
