"""The feature pyramid as a spec: parameters known from elsewhere, levels, what it refuses."""

import pytest
import torch

from search_spaces.blocks.base import Feature
from search_spaces.blocks.necks import Fpn
from search_spaces.errors import SpecError

RESNET50 = tuple(Feature(256 * 2**i, 4 * 2**i) for i in range(4))


def _params(spec: Fpn) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in spec.build(RESNET50).parameters())


def test_known_numbers_of_parameters():
    assert _params(Fpn()) == 3_344_384
    # With concat the three smoothings that have a map above read twice the channels.
    assert _params(Fpn(fusion="concat")) == 3_344_384 + 3 * 9 * 256 * 256
    assert _params(Fpn(extra="maxpool", extra_levels=1)) == 3_344_384
    assert _params(Fpn(extra="conv", extra_levels=2)) == 3_344_384 + 2 * (9 * 256 * 256 + 256)
    assert _params(Fpn(skip=1)) == 3_344_384 - (256 * 256 + 256) - (9 * 256 * 256 + 256)


def test_levels_of_the_one_stage_paper():
    found = Fpn(skip=1, extra_levels=2).outputs(RESNET50)
    assert found == tuple(Feature(256, stride) for stride in (8, 16, 32, 64, 128))


def test_leaving_out_every_map_is_refused():
    with pytest.raises(SpecError, match="an fpn that leaves out 4 maps needs a pyramid of 5 maps or more; got 4"):
        Fpn(skip=4).outputs(RESNET50)
