"""Backbones with a margin as specs."""

import pytest

from search_spaces.architectures.padded import Padded
from search_spaces.architectures.resnet import Resnet
from search_spaces.errors import SpecError

SMALL = Resnet(depths=(1, 1), widths=(4, 8))


def test_the_pyramid_is_the_backbones() -> None:
    assert Padded(backbone=SMALL, margin=16).pyramid() == SMALL.pyramid()


def test_margins_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SpecError, match="margin: a margin is a multiple of the coarsest stride; got 4"):
        Padded.from_data({"backbone": SMALL.to_data(), "margin": 4})
    with pytest.raises(SpecError, match="margin: a mirrored margin is narrower than the image; got 32"):
        Padded(backbone=SMALL, margin=32).build((3, 32, 64), 2)
