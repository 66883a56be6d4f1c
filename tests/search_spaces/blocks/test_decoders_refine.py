"""Decoders that refine, as specs."""

import pytest

from search_spaces.blocks.base import Decoder, Feature
from search_spaces.blocks.decoders import DeepLabV3Plus
from search_spaces.blocks.decoders_dense import UnetPlusPlus
from search_spaces.blocks.decoders_refine import Iterative, LinkNet, MaxUnpool, RefineNet
from search_spaces.errors import SpecError

FEATURES = (Feature(8, 2), Feature(12, 4), Feature(16, 8))


def test_the_map_that_comes_out():
    assert RefineNet(width=6).outputs(FEATURES) == (Feature(6, 2),)
    assert LinkNet().outputs(FEATURES) == (Feature(8, 2),)
    assert MaxUnpool(width=6).outputs(FEATURES) == (Feature(6, 2),)
    assert Iterative(decoder=DeepLabV3Plus(width=6, low=1)).outputs(FEATURES) == (Feature(6, 4),)


@pytest.mark.parametrize("decoder", [LinkNet(), MaxUnpool(), Iterative()])
def test_one_map_is_too_few(decoder):
    for refuses in (decoder.outputs, decoder.build):
        with pytest.raises(SpecError, match="needs a pyramid of 2 maps or more; got 1"):
            refuses(FEATURES[:1])
    assert RefineNet(width=6).outputs(FEATURES[:1]) == (Feature(6, 2),)


def test_runs_before_the_last_are_supervised():
    spec = Iterative(decoder=DeepLabV3Plus(width=6), steps=3, supervision=True)
    assert spec.supervised(FEATURES) == (Feature(6, 2),) * 3
    assert Iterative(decoder=UnetPlusPlus()).supervised(FEATURES) == ()


def test_what_a_decoder_refuses_is_named_by_its_path():
    with pytest.raises(SpecError, match="^decoder/low: the fine map lies before the coarsest one"):
        Iterative(decoder=DeepLabV3Plus(low=2)).outputs(FEATURES)
    with pytest.raises(SpecError, match="^decoder/decoder/depth: "):
        Decoder.from_data(
            {"kind": "iterative", "decoder": {"kind": "iterative", "decoder": {"kind": "unetplusplus", "depth": 3}}}
        ).outputs(FEATURES)
    with pytest.raises(SpecError, match="^reset: "):
        Decoder.from_data({"kind": "iterative", "reset": 1.5})
