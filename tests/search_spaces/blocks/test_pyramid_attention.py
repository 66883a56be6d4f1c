"""Specs of feature pyramid attention."""

import pytest

from search_spaces.blocks.pyramid_attention import FeaturePyramidAttention
from search_spaces.errors import SpecError


@pytest.mark.parametrize("levels", [2, 3])
@pytest.mark.parametrize("weights", ["one", "each"])
def test_parameters_of_feature_pyramid_attention(levels: int, weights: str) -> None:
    found = FeaturePyramidAttention(levels=levels, weights=weights).cost(16)
    width = 1 if weights == "one" else 16
    taps = [kernel**2 for kernel in (3, 5, 7)[:levels]]
    # The finest level reads the map; all others, and all second convolutions, read what the pyramid holds.
    pyramid = 16 * width * taps[-1] + width * width * (sum(taps[:-1]) + sum(taps)) + 2 * levels * 2 * width
    assert found is not None and found.params == 2 * (16 * 16 + 2 * 16) + pyramid


@pytest.mark.parametrize("fields", [{"levels": 0}, {"levels": 4}, {"weights": "all"}])
def test_impossible_fields_are_refused(fields) -> None:
    with pytest.raises(SpecError, match=f"^{next(iter(fields))}: "):
        FeaturePyramidAttention.from_data(fields)
