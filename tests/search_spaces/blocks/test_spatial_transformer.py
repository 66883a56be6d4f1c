"""Specs of spatial transformers."""

import pytest

from search_spaces.blocks.spatial_transformer import SpatialTransformer
from search_spaces.errors import SpecError


def test_cost_of_the_small_network() -> None:
    found = SpatialTransformer(width=16).cost(64, (256, 256))  # a map of 8 x 8
    assert found is not None
    assert found.params == (64 * 16 * 9 + 16) + (16 * 16 * 9 + 16) + (16 * 16 * 6 + 6)
    assert found.macs == 16 * 64 * 16 * 9 + 4 * 16 * 16 * 9 + 16 * 16 * 6


@pytest.mark.parametrize("fields", [{"width": 0}, {"rate": 0.0}])
def test_impossible_fields_are_refused(fields) -> None:
    with pytest.raises(SpecError, match=f"^{next(iter(fields))}: "):
        SpatialTransformer.from_data(fields)
