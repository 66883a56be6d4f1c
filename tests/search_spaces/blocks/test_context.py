"""Context modules: parameters known from elsewhere, and what they refuse."""

import pytest
import torch

from search_spaces.blocks.base import Feature
from search_spaces.blocks.context import Aspp, Psp
from search_spaces.errors import SpecError


def test_aspp_on_2048_channels_has_the_known_number_of_parameters():
    with torch.device("meta"):
        module = Aspp().build((Feature(2048, 16),))
    assert sum(p.numel() for p in module.parameters()) == 15_535_104


@pytest.mark.parametrize("bins", [(1,), (1, 2), (1, 2, 3, 6)])
def test_psp_doubles_the_channels(bins):
    assert Psp(bins=bins).outputs((Feature(64, 8),)) == (Feature(128, 8),)


def test_psp_refuses_channels_that_do_not_divide():
    with pytest.raises(
        SpecError, match=r"bins: the number of bins divides the channels of the map, 64; got \[1, 2, 3\]"
    ):
        Psp(bins=(1, 2, 3)).outputs((Feature(64, 8),))


@pytest.mark.parametrize("fields", [{"rates": ()}, {"rates": (0,)}, {"dropout": 1.0}, {"width": 0}])
def test_impossible_fields_are_refused(fields):
    with pytest.raises(SpecError):
        Aspp.from_data(fields)
