"""Specs of channel attention."""

from search_spaces.blocks.attention import SqueezeExcitation
from search_spaces.blocks.base import Attention, Context, Feature
from search_spaces.spec import kinds


def test_attention_is_a_context_that_keeps_the_map() -> None:
    assert set(kinds(Attention)) <= set(kinds(Context))
    inputs = (Feature(8, 4), Feature(12, 8))
    assert SqueezeExcitation().outputs(inputs) == (Feature(12, 8),)


def test_parameters_of_squeeze_and_excitation() -> None:
    found = SqueezeExcitation(reduction=16).cost(64)
    assert found is not None and found.params == 580  # 2 C^2 / r + C / r + C
