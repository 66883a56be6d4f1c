"""Decoders as specs: what they give and refuse."""

import pytest

from search_spaces.blocks.base import Feature
from search_spaces.blocks.decoders import DeepLabV3Plus, PanopticFpn, Unet
from search_spaces.errors import SpecError

FEATURES = (Feature(8, 2), Feature(12, 4), Feature(16, 8))


def test_the_map_that_comes_out():
    assert DeepLabV3Plus(width=32).outputs(FEATURES) == (Feature(32, 2),)
    assert DeepLabV3Plus(width=32, low=1).outputs(FEATURES) == (Feature(32, 4),)
    assert PanopticFpn(width=24).outputs(FEATURES) == (Feature(24, 2),)
    assert Unet(width=20).outputs(FEATURES) == (Feature(20, 2),)


def test_the_fine_map_must_lie_before_the_coarsest():
    with pytest.raises(SpecError, match="low: the fine map lies before the coarsest one; got 2; allowed 0 to 1"):
        DeepLabV3Plus(low=2).outputs(FEATURES)


@pytest.mark.parametrize("decoder", [DeepLabV3Plus(), Unet()])
def test_one_map_is_too_few(decoder):
    with pytest.raises(SpecError, match="needs a pyramid of 2 maps or more; got 1"):
        decoder.outputs(FEATURES[:1])
