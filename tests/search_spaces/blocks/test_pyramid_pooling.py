"""Spatial pyramid pooling as a spec: how long the vector is."""

import pytest

from search_spaces.blocks.base import Feature
from search_spaces.blocks.pooling import GlobalPooling, LinearClassifier
from search_spaces.blocks.pyramid_pooling import SpatialPyramid

MAPS = (Feature(64, 8), Feature(256, 16))


@pytest.mark.parametrize(("bins", "length"), [((1,), 256), ((1, 2, 4), 5_376), ((1, 2, 3, 6), 12_800)])
def test_d01_the_length_is_fixed(bins: tuple[int, ...], length: int) -> None:
    assert SpatialPyramid(bins=bins).features(MAPS) == length


def test_a_classifier_may_have_it() -> None:
    assert GlobalPooling.from_data("spp") == SpatialPyramid()
    assert LinearClassifier(pooling=SpatialPyramid(bins=(1, 2))).build(MAPS, 10)[1].in_features == 1_280
