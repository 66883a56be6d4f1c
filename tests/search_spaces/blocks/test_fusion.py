"""Specs of fusions."""

import pytest

from search_spaces.blocks.base import Feature
from search_spaces.blocks.fusion import Add, Concat
from search_spaces.errors import SpecError


def test_channels_of_what_is_fused() -> None:
    unequal = (Feature(8, 4), Feature(12, 8))
    assert Concat().outputs(unequal) == (Feature(20, 4),)
    with pytest.raises(SpecError, match=r"fused maps have equal channels; got \[8, 12\]"):
        Add().outputs(unequal)
    assert Add().outputs((Feature(8, 4), Feature(8, 16))) == (Feature(8, 4),)
