"""Heads of segmentation as specs: parameters by formula."""

import pytest

from search_spaces.blocks.heads import Head1x1, Head3x3, Head3x3Then1x1, SegmentationHead
from search_spaces.spec import kinds


@pytest.mark.parametrize(
    ("head", "params"),
    [
        (Head1x1(), 24 * 5 + 5),
        (Head3x3(), 9 * 24 * 5 + 5),
        # F01: 9 C h + h K + K + 2 h.
        (Head3x3Then1x1(hidden=7), 9 * 24 * 7 + 7 * 5 + 5 + 2 * 7),
    ],
    ids=["1x1", "3x3", "3x3+1x1"],
)
def test_f01_parameters_of_segmentation_heads(head, params):
    assert sum(p.numel() for p in head.build(24, 5).parameters()) == params
    assert SegmentationHead.from_json(head.to_json()) == head
    assert kinds(SegmentationHead)[head.kind] is type(head)
