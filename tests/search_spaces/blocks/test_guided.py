"""Specs of guided fusions."""

import pytest

from search_spaces.blocks.base import Feature
from search_spaces.blocks.fusion import Fusion
from search_spaces.blocks.guided import GlobalAttentionUpsample
from search_spaces.cost import part_cost
from search_spaces.errors import SpecError
from search_spaces.spec import kinds

INPUTS = (Feature(6, 8), Feature(10, 16), Feature(4, 32))


def test_it_is_a_fusion_with_the_channels_of_the_coarsest_map() -> None:
    assert kinds(Fusion)["gau"] is GlobalAttentionUpsample
    assert GlobalAttentionUpsample().outputs(INPUTS) == (Feature(4, 8),)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_cost_of_global_attention_upsample(activation: str) -> None:
    block = GlobalAttentionUpsample(activation=activation)
    found = part_cost(lambda: block.build(INPUTS), "pyramid", [feature.shape((64, 64)) for feature in INPUTS])
    fine = {6: 64, 10: 16}  # channels and positions of the finer maps
    assert found.params == sum(c * 4 * 9 + 2 * 4 + 4 * 4 + 2 * 4 for c in fine)
    assert found.macs == sum(positions * c * 4 * 9 + 4 * 4 for c, positions in fine.items())


def test_one_map_is_refused() -> None:
    with pytest.raises(SpecError, match="global attention upsample needs a pyramid of 2 maps or more; got 1"):
        GlobalAttentionUpsample().outputs(INPUTS[:1])
