"""Decoders whose maps read many earlier ones, as specs."""

import pytest

from search_spaces.blocks.base import Feature
from search_spaces.blocks.decoders_dense import Dla, FullyDense, Tiramisu, UnetPlusPlus
from search_spaces.errors import SpecError

FEATURES = (Feature(8, 2), Feature(12, 4), Feature(16, 8), Feature(20, 16))


def test_the_map_that_comes_out():
    assert UnetPlusPlus(width=6).outputs(FEATURES) == (Feature(6, 2),)
    assert FullyDense(width=6).outputs(FEATURES) == (Feature(6, 2),)
    assert Dla(width=6).outputs(FEATURES) == (Feature(6, 2),)
    # The finest map, what the block below has added, and what the last block adds.
    assert Tiramisu(growth=3, layers=2).outputs(FEATURES) == (Feature(8 + 6 + 6, 2),)


@pytest.mark.parametrize("decoder", [UnetPlusPlus(), FullyDense(), Dla(), Tiramisu()])
def test_one_map_is_too_few(decoder):
    for refuses in (decoder.outputs, decoder.build):
        with pytest.raises(SpecError, match="needs a pyramid of 2 maps or more; got 1"):
            refuses(FEATURES[:1])


def test_nested_skips_are_as_deep_as_there_are_maps():
    assert UnetPlusPlus(width=6, depth=3).supervised(FEATURES) == (Feature(6, 2),) * 2
    assert UnetPlusPlus(width=6).supervised(FEATURES) == (Feature(6, 2),) * 2
    assert UnetPlusPlus(width=6, depth=1).supervised(FEATURES) == ()
    assert UnetPlusPlus(width=6, supervision=False).supervised(FEATURES) == ()
    with pytest.raises(
        SpecError, match="^depth: every level above the finest is a map; got 4; allowed 1 to 3, or null"
    ):
        UnetPlusPlus(depth=4).outputs(FEATURES)


def test_every_dense_stage_but_the_last_is_supervised():
    assert FullyDense(width=6).supervised(FEATURES) == (Feature(6, 4), Feature(6, 8))
    assert FullyDense(supervision=False).supervised(FEATURES) == Dla().supervised(FEATURES) == ()
