"""Specs of channel attention."""

import pytest

from search_spaces.blocks.attention import Cbam, Cfam, SqueezeExcitation, must_divide
from search_spaces.blocks.base import Attention, Context, Feature
from search_spaces.errors import SpecError
from search_spaces.spec import kinds


def test_attention_is_a_context_that_keeps_the_map() -> None:
    assert set(kinds(Attention)) <= set(kinds(Context))
    inputs = (Feature(8, 4), Feature(12, 8))
    assert SqueezeExcitation().outputs(inputs) == (Feature(12, 8),)


def test_c01_parameters_of_squeeze_and_excitation() -> None:
    found = SqueezeExcitation(reduction=16).cost(64)
    assert found is not None and found.params == 580  # 2 C^2 / r + C / r + C


@pytest.mark.parametrize(("kernel", "params"), [(7, 612), (3, 532)])
def test_c02_parameters_of_cbam(kernel: int, params: int) -> None:
    found = Cbam(kernel=kernel).cost(64)
    assert found is not None and found.params == params  # 2 C^2 / r + 2 k^2 + 2


def test_c13_cfam_mixes_channels_with_one_parameter_and_c_squared_products_a_position() -> None:
    found = Cfam().cost(64, (64, 64))
    assert found is not None and found.params == 1
    assert found.macs == 2 * 64 * 64 * 4  # G and M F, on a map of stride 32


def test_inner_channels_of_cfam_come_with_four_convolutions() -> None:
    found = Cfam(inner=16).cost(64)
    assert found is not None
    assert found.params == 64 * 16 + 2 * (16 * 16 * 9) + 3 * 2 * 16 + (16 * 64 + 64) + 1


def test_what_does_not_divide_is_refused_with_what_would() -> None:
    must_divide(3, 12, "heads divide the channels", "heads")
    with pytest.raises(SpecError, match="heads: heads divide the channels, 12; got 5; allowed 1, 2, 3, 4, 6, 12"):
        must_divide(5, 12, "heads divide the channels", "heads")
