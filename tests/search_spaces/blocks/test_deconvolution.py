"""Specs of decoders of transposed convolutions."""

import pytest

from search_spaces.blocks.base import Feature
from search_spaces.blocks.deconvolution import GroupedDeconvolution
from search_spaces.errors import SpecError

MAPS = tuple(Feature(8, stride) for stride in (4, 8, 16))


def test_two_doublings_lead_from_stride_16_to_4() -> None:
    assert GroupedDeconvolution(width=12).outputs(MAPS) == (Feature(12, 4),)
    with pytest.raises(SpecError, match="stages: no map has the stride that the doublings lead to; got 3"):
        GroupedDeconvolution(stages=3).outputs(MAPS)
