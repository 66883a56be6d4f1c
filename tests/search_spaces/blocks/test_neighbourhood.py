"""Specs of local attention: cost, and the channels that they refuse."""

import pytest

from search_spaces.blocks.base import Feature
from search_spaces.blocks.neighbourhood import PairwiseAttention, PatchwiseAttention
from search_spaces.errors import SpecError

# Of 64 channels 16 are summed in 2 groups of 8 that share weights, and 4 are related.
FRAME = 2 * 64 + 2 * (64 * 4 + 4) + (64 * 16 + 16) + 2 * 16 + (16 * 64 + 64)


@pytest.mark.parametrize(("relation", "numbers"), [("sub", 6), ("sum", 6), ("mul", 6), ("concat", 10), ("dot", 3)])
def test_parameters_of_pairwise_attention(relation: str, numbers: int) -> None:
    found = PairwiseAttention(relation=relation).cost(64)
    assert found is not None
    assert found.params == FRAME + 4 + 2 * numbers + numbers * 4 + 2 * 4 + (4 * 2 + 2)


@pytest.mark.parametrize(("relation", "numbers"), [("star", 9), ("clique", 81), ("concat", 40)])
def test_parameters_of_patchwise_attention(relation: str, numbers: int) -> None:
    found = PatchwiseAttention(relation=relation, footprint=3).cost(64)
    assert found is not None
    assert found.params == FRAME + 2 * numbers + numbers * 2 + 2 * 2 + (2 * 18 + 18)


@pytest.mark.parametrize("spec", [PairwiseAttention, PatchwiseAttention])
def test_channels_that_cannot_share_weights_are_refused(spec) -> None:
    with pytest.raises(
        SpecError, match="^share: channels that share weights divide those summed of 48, 12; got 8; allowed 1, 2, 3"
    ):
        spec().outputs((Feature(48, 8),))
    assert spec(share=4).outputs((Feature(48, 8),)) == (Feature(48, 8),)
    assert spec(reduction=2).outputs((Feature(48, 8),)) == (Feature(48, 8),)


@pytest.mark.parametrize("fields", [{"footprint": 4}, {"share": 0}, {"relation": "less"}])
def test_impossible_fields_are_refused(fields) -> None:
    with pytest.raises(SpecError, match=f"^{next(iter(fields))}: "):
        PairwiseAttention.from_data(fields)
