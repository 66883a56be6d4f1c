"""Specs of self-attention: cost, and the channels that they refuse."""

import pytest

from search_spaces.blocks.base import Feature
from search_spaces.blocks.self_attention import SelfAttention, Transformer
from search_spaces.errors import SpecError


@pytest.mark.parametrize("heads", [1, 2, 4, 8])
def test_c06_parameters_of_multi_head_attention(heads: int) -> None:
    found = SelfAttention(heads=heads).cost(16)
    assert found is not None and found.params == 1088  # 4 d^2 + 4 d


def test_cost_of_multi_head_attention() -> None:
    found = SelfAttention().cost(64, (128, 96))
    assert found is not None
    positions = 4 * 3
    assert found.macs == positions * 4 * 64 * 64 + 2 * positions**2 * 64


def test_learned_positions_are_16_x_16_vectors() -> None:
    found = SelfAttention(position="learned").cost(16)
    assert found is not None and found.params == 1088 + 16 * 16 * 16


@pytest.mark.parametrize(("layers", "expansion"), [(1, 4), (3, 2)])
def test_parameters_of_encoder_layers(layers: int, expansion: int) -> None:
    found = Transformer(layers=layers, expansion=expansion).cost(16)
    hidden = expansion * 16
    assert found is not None
    assert found.params == layers * (1088 + 2 * 16 * hidden + hidden + 16 + 2 * 2 * 16)


@pytest.mark.parametrize("spec", [SelfAttention, Transformer])
def test_channels_that_do_not_suit_are_refused(spec) -> None:
    with pytest.raises(SpecError, match="^heads: heads divide the channels of the map, 36; got 8; allowed 1, 2, 3, 4"):
        spec().outputs((Feature(36, 8),))
    with pytest.raises(SpecError, match="^position: .* multiple of 4 channels, the map has 6; got 'sin'; allowed none"):
        spec(heads=2).outputs((Feature(6, 8),))
    for position in ("none", "learned"):
        assert spec(heads=2, position=position).outputs((Feature(6, 8),)) == (Feature(6, 8),)


@pytest.mark.parametrize("fields", [{"heads": 0}, {"layers": 0}, {"dropout": 1.0}, {"norm": "middle"}])
def test_impossible_fields_are_refused(fields) -> None:
    with pytest.raises(SpecError, match=f"^{next(iter(fields))}: "):
        Transformer.from_data(fields)
