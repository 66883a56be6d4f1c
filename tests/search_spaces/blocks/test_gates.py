"""Specs of gates: what they cost."""

import pytest

from search_spaces.blocks.base import Example, Feature
from search_spaces.blocks.gates import AttentionGate, ThunderSam
from search_spaces.cost import part_cost
from search_spaces.errors import SpecError


def test_cost_of_an_additive_gate_lies_at_the_guides_resolution() -> None:
    found = AttentionGate().cost(64, (64, 64))
    assert found is not None
    assert found.params == 64 * 32 + (64 * 32 + 32) + (32 + 1)
    assert found.macs == 4 * 4 * (2 * 64 * 32 + 32)  # the map is 8 x 8, its guide 4 x 4


def test_c12_weights_of_the_spatial_attention_of_thundernet() -> None:
    inputs = (Feature(10, 16), Feature(6, 16))
    example = Example(lambda: ThunderSam().build(10, 6), inputs, inputs[:1])
    found = part_cost(example.make, "guided", [feature.shape((64, 64)) for feature in inputs])
    assert found.params == 6 * 10 + 2 * 10  # C_rpn C + 2 C
    assert found.macs == 4 * 4 * 6 * 10


def test_impossible_fields_are_refused() -> None:
    with pytest.raises(SpecError, match="^reduction: "):
        AttentionGate.from_data({"reduction": 0})
