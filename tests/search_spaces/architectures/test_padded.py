"""Backbones with a margin as specs."""

import pytest

from search_spaces.architectures.padded import Padded
from search_spaces.architectures.resnet import Resnet
from search_spaces.build import Architecture
from search_spaces.errors import SpecError

SMALL = Resnet(depths=(1, 1), widths=(4, 8))


def test_the_pyramid_is_the_backbones() -> None:
    assert Padded(backbone=SMALL, margin=16).pyramid() == SMALL.pyramid()


@pytest.mark.parametrize("kind", ["segmenter", "detector", "scale_attention"])
def test_b12_an_image_that_is_too_small_to_be_mirrored_is_refused_wherever_the_backbone_stands(kind: str) -> None:
    padded = {"kind": "padded", "backbone": SMALL.to_data(), "margin": 24}
    spec = Architecture.from_data({"kind": kind, "backbone": padded})
    with pytest.raises(SpecError, match="^backbone/margin: a mirrored margin is narrower than the image; got 24"):
        spec.build((3, 24, 64), 2)
    if kind == "scale_attention":
        with pytest.raises(SpecError, match="allowed less than 20"):  # half of the image is too small
            spec.build((3, 40, 64), 2)


def test_margins_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SpecError, match="margin: a margin is a multiple of the coarsest stride; got 4"):
        Padded.from_data({"backbone": SMALL.to_data(), "margin": 4})
    with pytest.raises(SpecError, match="margin: a mirrored margin is narrower than the image; got 32"):
        Padded(backbone=SMALL, margin=32).build((3, 32, 64), 2)
