"""Specs of fusions."""

import pytest

from search_spaces.blocks.base import Feature
from search_spaces.blocks.fusion import Add, CascadeFusion, Concat, Fusion, Product, WeightedAdd, fused
from search_spaces.errors import SpecError

UNEQUAL = (Feature(8, 4), Feature(12, 8))
EQUAL = (Feature(8, 4), Feature(8, 16))


@pytest.mark.parametrize("fusion", [Add(), WeightedAdd(), Product()])
def test_channels_of_what_is_summed_or_multiplied_are_equal(fusion: Fusion) -> None:
    assert fusion.outputs(EQUAL) == (Feature(8, 4),)
    for refuses in (fusion.outputs, fusion.build):
        with pytest.raises(SpecError, match=r"fused maps have equal channels; got \[8, 12\]; allowed concat, a fusion"):
            refuses(UNEQUAL)


def test_e02_channels_that_come_out_of_unequal_ones() -> None:
    assert Add(align=True).outputs(UNEQUAL) == WeightedAdd(align=True).outputs(UNEQUAL) == (Feature(8, 4),)
    assert Concat().outputs(UNEQUAL) == (Feature(20, 4),)
    assert Concat(width=6).outputs(UNEQUAL) == (Feature(6, 4),)
    assert CascadeFusion().outputs(UNEQUAL) == (Feature(8, 4),)
    assert CascadeFusion(width=6).outputs(UNEQUAL) == (Feature(6, 4),)


def test_a_bare_name_stands_for_a_fusion() -> None:
    assert Fusion.from_data("cff") == CascadeFusion()
    with pytest.raises(SpecError, match="did you mean 'concat'"):
        Fusion.from_data("conact")


def test_a_refusal_names_the_field() -> None:
    assert fused(Add(), EQUAL, "merge") == Feature(8, 4)
    with pytest.raises(SpecError, match="^merge: fused maps have equal channels"):
        fused(Add(), UNEQUAL, "merge")
