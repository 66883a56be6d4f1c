"""Anchor schemes: the published numbers of boxes, their sides and places."""

import math
from collections import Counter

import pytest
import torch

from search_spaces.blocks.anchors import (
    AnchorScheme,
    BlazeAnchors,
    DefaultBoxes,
    DensifiedAnchors,
    EqualProportion,
    GridAnchors,
)
from search_spaces.errors import SpecError
from search_spaces.operators.boxes import anchor_boxes


def _boxes(scheme: AnchorScheme, size: int, strides: tuple[int, ...]) -> torch.Tensor:
    return anchor_boxes((size, size), strides, scheme.shapes(strides, (size, size)))


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


def test_f03_ssd300_has_8732_default_boxes():
    ratios = ((2.0,), (2.0, 3.0), (2.0, 3.0), (2.0, 3.0), (2.0,), (2.0,))
    scheme, strides = DefaultBoxes(ratios=ratios), (8, 16, 32, 64, 128, 300)
    assert scheme.counts(strides) == (4, 6, 6, 6, 4, 4)
    boxes = _boxes(scheme, 300, strides)
    assert len(boxes) == 4 * (38**2 + 3**2 + 1) + 6 * (19**2 + 10**2 + 5**2) == 8732
    # Equation 4: from 0.2 to 0.9 of the image in equal steps.
    squares = [level[0][0] / 300 for level in scheme.shapes(strides, (300, 300))]
    assert squares == pytest.approx([0.2, 0.34, 0.48, 0.62, 0.76, 0.9])
    sides = [tuple(round(side, 3) for side in shape) for shape in scheme.shapes(strides, (300, 300))[1]]
    assert sides[1] == (round(300 * math.sqrt(0.34 * 0.48), 3),) * 2
    assert [round(width / height, 3) for width, height in sides[2:]] == [2, 0.5, 3, 0.333]
    assert {round(width * height) for width, height in [sides[0], *sides[2:]]} == {102 * 102}


def test_f03_an_image_that_is_no_square_has_boxes_of_the_same_ratios():
    (level,) = DefaultBoxes(ratios=((2.0,),), smallest=0.5, largest=0.5).shapes((8,), (40, 90))
    assert level[0] == pytest.approx((30, 30)) and level[2] == pytest.approx((30 * 2**0.5, 30 / 2**0.5))


def test_f04_yolo_has_10647_boxes_at_416():
    scheme = GridAnchors(sizes=(1.0,), scales=(1.0,))
    assert len(_boxes(scheme, 416, (8, 16, 32))) == 10647


def test_f06_densities_become_equal():
    scheme = DensifiedAnchors()
    # Sides 32, 64 and 128 at stride 32: densities 1, 2 and 4 become 4, 4 and 4.
    sides = (1.0, 2.0, 4.0)
    assert [scheme.row(side) for side in sides] == [4, 2, 1]
    assert [side * scheme.row(side) for side in sides] == [4, 4, 4]
    (level,) = scheme.shapes((32,))
    assert Counter(width for width, *_ in level) == {32: 16, 64: 4, 128: 1}
    assert [DensifiedAnchors(most=2).row(side) for side in sides] == [2, 2, 1]


def test_f06_anchors_of_a_cell_lie_around_its_middle_at_equal_distances():
    boxes = _boxes(DensifiedAnchors(sizes=((1.0,),)), 64, (32,))
    middles = ((boxes[:, :2] + boxes[:, 2:]) / 2).view(4, 16, 2)
    assert middles.mean(1).tolist() == [[16, 16], [48, 16], [16, 48], [48, 48]]
    # Over all cells they stand 8 pixels apart, as anchors of stride 8 would.
    assert sorted({round(x, 4) for x in middles[..., 0].flatten().tolist()}) == [4 + 8 * i for i in range(8)]
    assert len({tuple(middle) for middle in middles.reshape(-1, 2).tolist()}) == 64


def test_f07_side_over_stride_is_the_same_everywhere():
    strides = (4, 8, 16, 32, 64, 128)
    shapes = EqualProportion().shapes(strides)
    assert [level[0] for level in shapes] == [(side, side) for side in (16, 32, 64, 128, 256, 512)]
    assert EqualProportion().counts(strides) == (1,) * 6


def test_f09_blaze_has_896_anchors_at_128():
    scheme = BlazeAnchors()
    assert scheme.counts((8, 16)) == (2, 6)
    assert len(_boxes(scheme, 128, (8, 16))) == 16 * 16 * 2 + 8 * 8 * 6 == 896
    sides = [width / 128 for level in scheme.shapes((8, 16), (128, 128)) for width, _ in level]
    # Four levels of 0.148 to 0.75, and between each and the next.
    levels = [0.1484375 + i * (0.75 - 0.1484375) / 3 for i in range(4)]
    assert sides[::2] == pytest.approx(levels)
    assert sides[1] == pytest.approx(math.sqrt(levels[0] * levels[1]))
    assert BlazeAnchors(merged=1).counts((8, 16, 32)) == (2, 2, 2)


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"kind": "default_boxes", "smallest": 0.5, "largest": 0.4}, "smallest"),
        ({"kind": "blaze_anchors", "smallest": 0.5, "largest": 0.4}, "smallest"),
        ({"kind": "default_boxes", "ratios": [[1.0]]}, "ratios/0/0"),
        ({"kind": "densified", "sizes": [[]]}, "sizes/0"),
    ],
)
def test_what_makes_no_sense_is_refused_by_path(data, path):
    with pytest.raises(SpecError, match=f"^{path}: "):
        AnchorScheme.from_data(data)


def test_lists_fit_the_levels():
    with pytest.raises(SpecError, match="^ratios: anchors have one list of ratios for all levels"):
        DefaultBoxes(ratios=((2.0,), (3.0,))).shapes((8, 16, 32))
    with pytest.raises(SpecError, match="^sizes: anchors have one list of sides for all levels"):
        DensifiedAnchors(sizes=((2.0,), (3.0,))).shapes((8, 16, 32))


def test_anchors_cost_nothing():
    found = GridAnchors().cost()
    assert found is not None and (found.params, found.macs, found.activation_bytes) == (0, 0, 0)
