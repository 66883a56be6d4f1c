"""Decoders as specs: what they give and refuse."""

import pytest

from search_spaces.blocks.base import Decoder, Feature
from search_spaces.blocks.decoders import DeepLabV3Plus, PanopticFpn, TopDown, Unet
from search_spaces.blocks.fusion import Add, Concat, WeightedAdd
from search_spaces.errors import SpecError

FEATURES = (Feature(8, 2), Feature(12, 4), Feature(16, 8))


def test_the_map_that_comes_out():
    assert DeepLabV3Plus(width=32).outputs(FEATURES) == (Feature(32, 2),)
    assert DeepLabV3Plus(width=32, low=1).outputs(FEATURES) == (Feature(32, 4),)
    assert PanopticFpn(width=24).outputs(FEATURES) == (Feature(24, 2),)
    assert Unet(width=20).outputs(FEATURES) == (Feature(20, 2),)
    assert TopDown(width=20).outputs(FEATURES) == (Feature(20, 2),)


def test_the_fine_map_must_lie_before_the_coarsest():
    with pytest.raises(SpecError, match="low: the fine map lies before the coarsest one; got 2; allowed 0 to 1"):
        DeepLabV3Plus(low=2).outputs(FEATURES)


@pytest.mark.parametrize("decoder", [DeepLabV3Plus(), Unet(), TopDown()])
def test_one_map_is_too_few(decoder):
    with pytest.raises(SpecError, match="needs a pyramid of 2 maps or more; got 1"):
        decoder.outputs(FEATURES[:1])


def test_a_fusion_that_takes_different_channels_gets_the_maps_of_a_unet_as_they_are():
    pairs = [plan.pair for plan in Unet(width=5).levels(FEATURES)]
    assert pairs == [(Feature(12, 4), Feature(16, 4)), (Feature(8, 2), Feature(10, 2))]
    assert [plan.joined.channels for plan in Unet(width=5).levels(FEATURES)] == [28, 18]
    aligned = Unet(width=5, skip=Add(align=True), upsample="deconv").levels(FEATURES)
    assert [plan.pair for plan in aligned] == [(Feature(12, 4), Feature(10, 4)), (Feature(8, 2), Feature(5, 2))]
    equal = Unet(width=5, skip=WeightedAdd()).levels(FEATURES)
    assert [plan.pair for plan in equal] == [(Feature(10, 4),) * 2, (Feature(5, 2),) * 2]


def test_only_what_is_asked_for_is_supervised():
    assert [d.supervised(FEATURES) for d in (DeepLabV3Plus(), PanopticFpn(), Unet(), TopDown())] == [()] * 4
    assert TopDown(width=6, supervision=True).supervised(FEATURES) == (Feature(6, 4), Feature(6, 8))


def test_names_of_fusions_as_files_write_them():
    found = Decoder.from_data({"kind": "panoptic_fpn", "fusion": "concat", "merge": {"kind": "concat", "width": 4}})
    assert found == PanopticFpn(fusion=Concat(), merge=Concat(width=4))
    assert Decoder.from_data({"kind": "unet", "skip": "add"}) == Unet(skip=Add())
    with pytest.raises(SpecError, match="^skip: unknown kind of fusion, did you mean 'concat'"):
        Decoder.from_data({"kind": "unet", "skip": "concate"})
