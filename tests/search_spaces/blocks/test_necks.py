"""Necks as specs: parameters known from elsewhere, levels, what they refuse."""

import pytest
import torch

from search_spaces.blocks.anchors import GridAnchors
from search_spaces.blocks.base import Feature, Neck
from search_spaces.blocks.context import Cpm, Ssh
from search_spaces.blocks.fusion import Add, CascadeFusion, Concat
from search_spaces.blocks.necks import Cem, Fpn, Levelwise
from search_spaces.errors import SpecError

RESNET50 = tuple(Feature(256 * 2**i, 4 * 2**i) for i in range(4))


def _params(spec: Neck) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in spec.build(RESNET50).parameters())


def test_e04_known_numbers_of_parameters():
    assert _params(Fpn()) == 3_344_384
    # With concat the three smoothings that have a map above read twice the channels.
    assert _params(Fpn(fusion=Concat())) == 3_344_384 + 3 * 9 * 256 * 256
    assert _params(Fpn(fusion="concat")) == _params(Fpn(fusion=Concat()))
    assert _params(Fpn(fusion=Concat(width=256))) == 3_344_384 + 3 * (512 * 256 + 2 * 256)
    assert _params(Fpn(fusion=CascadeFusion())) == 3_344_384 + 3 * (10 * 256 * 256 + 4 * 256)
    assert _params(Fpn(fusion="weighted_add")) == 3_344_384 + 3 * 2
    assert _params(Fpn(extra="maxpool", extra_levels=1)) == 3_344_384
    assert _params(Fpn(extra="conv", extra_levels=2)) == 3_344_384 + 2 * (9 * 256 * 256 + 256)
    assert _params(Fpn(skip=1)) == 3_344_384 - (256 * 256 + 256) - (9 * 256 * 256 + 256)
    assert _params(Fpn(fusion=Concat(), start=2)) == 3_344_384 + 9 * 256 * 256


def test_levels_of_the_one_stage_paper():
    found = Fpn(skip=1, extra_levels=2).outputs(RESNET50)
    assert found == tuple(Feature(256, stride) for stride in (8, 16, 32, 64, 128))


def test_leaving_out_every_map_is_refused():
    with pytest.raises(SpecError, match="an fpn that leaves out 4 maps needs a pyramid of 5 maps or more; got 4"):
        Fpn(skip=4).outputs(RESNET50)


def test_the_way_down_starts_at_a_map_that_is_used():
    assert len(Fpn(skip=1, start=2).outputs(RESNET50)) == 3
    with pytest.raises(SpecError, match="^start: the way down starts at a map that is there; got 3; allowed 0 to 2"):
        Fpn(skip=1, start=3).outputs(RESNET50)


def test_e10_context_enhancement_is_one_map():
    c4, c5, width = 512, 1024, 245
    with torch.device("meta"):
        found = Cem().build((Feature(c4, 16), Feature(c5, 32)))
    assert sum(p.numel() for p in found.parameters()) == (c4 + 2 * c5) * width + 3 * width == 627_935
    assert Cem(width=64).outputs(RESNET50) == (Feature(64, 16),)
    with pytest.raises(SpecError, match="a cem neck needs a pyramid of 2 maps or more; got 1"):
        Cem().outputs(RESNET50[:1])


def test_a_context_of_its_own_for_every_map():
    assert Levelwise().outputs(RESNET50[1:]) == RESNET50[1:]  # the modules of SSH keep the channels
    pyramidbox = Levelwise(neck=Fpn(width=256, fusion="product", start=1), context=Cpm(hidden=64, width=128))
    assert pyramidbox.outputs(RESNET50) == tuple(Feature(128, stride) for stride in (4, 8, 16, 32))
    assert _params(Levelwise(neck=Fpn(width=8), context=Ssh())) == _params(Fpn(width=8)) + 4 * (
        9 * 8 * (4 + 2) + 3 * 9 * 2 * 2 + 2 * (4 + 2 + 3 * 2)
    )


def test_e12_anchors_of_each_level_are_twice_those_of_the_finer_one():
    strides = tuple(feature.stride for feature in Levelwise(neck=Fpn(fusion="product", start=1)).outputs(RESNET50))
    shapes = GridAnchors(sizes=(4.0,), scales=(1.0,), ratios=(1.0,)).shapes(strides)
    assert [level[0] for level in shapes] == [(16.0 * 2**k, 16.0 * 2**k) for k in range(4)]


@pytest.mark.parametrize(
    ("neck", "path"),
    [
        (Levelwise(neck=Fpn(skip=4)), "neck"),
        (Levelwise(neck=Fpn(width=6), context=Ssh()), "context/width"),
        (Levelwise(neck=Fpn(start=4)), "neck/start"),
    ],
)
def test_refusals_within_a_neck_name_their_path(neck, path):
    with pytest.raises(SpecError, match=f"^{path}: "):
        neck.outputs(RESNET50)


def test_what_meets_on_the_way_down():
    joints = Fpn(width=8, fusion=Add(), skip=1, start=1).joints(RESNET50)
    assert joints == (((Feature(8, 8), Feature(8, 16)), 8),)
