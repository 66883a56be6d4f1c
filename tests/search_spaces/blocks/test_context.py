"""Context modules: parameters known from elsewhere, and what they refuse."""

import pytest
import torch

from search_spaces.blocks.base import Feature
from search_spaces.blocks.context import Aspp, Cpm, Psp, Ssh
from search_spaces.errors import SpecError


def test_d03_aspp_on_2048_channels_has_the_known_number_of_parameters():
    with torch.device("meta"):
        module = Aspp().build((Feature(2048, 16),))
    assert sum(p.numel() for p in module.parameters()) == 15_535_104


@pytest.mark.parametrize("bins", [(1,), (1, 2), (1, 2, 3, 6)])
def test_d02_psp_doubles_the_channels(bins):
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


def test_e11_surroundings_have_half_and_quarters_of_the_channels():
    assert Ssh().outputs((Feature(12, 8),)) == (Feature(12, 8),)
    assert Ssh(width=20).outputs((Feature(6, 8),)) == (Feature(20, 8),)
    assert Cpm(width=20).outputs((Feature(6, 8),)) == (Feature(20, 8),)
    rule = "half and quarters of the channels are whole numbers; got 6; allowed a multiple of 4"
    for block in (Ssh(), Cpm(width=6)):
        with pytest.raises(SpecError, match=f"^width: {rule}"):
            block.outputs((Feature(6, 8),))
        with pytest.raises(SpecError, match=rule):
            block.build((Feature(6, 8),))


def test_parameters_of_the_modules_of_face_detectors():
    def params(block, channels):
        with torch.device("meta"):
            return sum(p.numel() for p in block.build((Feature(channels, 8),)).parameters())

    ssh = 9 * 16 * (8 + 4) + 3 * 9 * 4 * 4 + 2 * (8 + 4 * 4)
    assert params(Ssh(), 16) == ssh
    # The published module: 256 within the bottleneck, 1,024 behind it, 512 in all.
    surroundings = 9 * 1024 * (256 + 128) + 3 * 9 * 128 * 128 + 2 * (256 + 4 * 128)
    bottleneck = (64 * 256 + 256 * 256 + 256 * 1024 + 64 * 1024) + 2 * (256 + 256 + 1024 + 1024)
    assert params(Cpm(), 64) == bottleneck + surroundings
