"""Backbones with further input channels as specs."""

import pytest

from search_spaces.architectures.informed import Informed
from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.coordinates import InputChannels
from search_spaces.build import Architecture
from search_spaces.cost import cost
from search_spaces.errors import SpecError

SMALL = Resnet(depths=(1, 1), widths=(4, 8), stem="cifar")


@pytest.mark.parametrize(("added", "more", "own"), [("xy", 2, 0), ("xy+shape", 3, 32 * 32), ("edge", 1, 0)])
def test_c25_the_first_convolution_reads_the_channels_that_are_added(added: str, more: int, own: int) -> None:
    spec = Informed(backbone=SMALL, inputs=InputChannels.from_data({"kind": "input_channels", "added": added}))
    plain, found = cost(SMALL, (3, 8, 8), 5), cost(spec, (3, 8, 8), 5)
    assert found.params - plain.params == 9 * more * 4 + own
    assert found.macs - plain.macs == 64 * 9 * more * 4
    assert spec.pyramid() == SMALL.pyramid() and spec.seen(3) == 3 + more
    assert Architecture.from_json(spec.to_json()) == spec


def test_what_the_backbone_refuses_is_named_by_its_path() -> None:
    octave = Resnet(depths=(1, 1), widths=(4, 8), stem="cifar", conv="octave")
    with pytest.raises(SpecError, match="^backbone/conv: height and width of the maps are multiples of 2; got "):
        Informed(backbone=octave).build((3, 6, 6), 2)
