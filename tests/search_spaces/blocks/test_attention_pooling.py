"""Specs of attentive pooling."""

import pytest

from search_spaces.blocks.attention_pooling import LearnToPayAttention
from search_spaces.blocks.base import Feature
from search_spaces.blocks.pooling import LinearClassifier
from search_spaces.cost import part_cost
from search_spaces.errors import SpecError

INPUTS = (Feature(4, 8), Feature(8, 16), Feature(8, 32))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_each_map_gives_the_coarsest_maps_channels(layers: int) -> None:
    assert LearnToPayAttention(layers=layers).features(INPUTS) == 8 * layers
    classifier = LinearClassifier(pooling=LearnToPayAttention(layers=layers)).build(INPUTS, 10)
    assert classifier[1].in_features == 8 * layers


@pytest.mark.parametrize(("score", "params"), [("dot", 0), ("param", 8)])
def test_cost_of_learning_to_pay_attention(score: str, params: int) -> None:
    block = LearnToPayAttention(score=score, layers=3)
    found = part_cost(lambda: block.build(INPUTS), "pyramid", [feature.shape((64, 64)) for feature in INPUTS])
    positions = 64 + 16 + 4
    assert found.params == 4 * 8 + 3 * params
    assert found.macs == 64 * 4 * 8 + positions * 2 * 8


def test_more_maps_than_there_are_are_refused() -> None:
    with pytest.raises(SpecError, match="^layers: there are maps to attend to; got 4; allowed 1 to 3"):
        LearnToPayAttention(layers=4).features(INPUTS)
