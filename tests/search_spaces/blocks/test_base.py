"""The contract of blocks: every one does with shapes what its spec says."""

import pytest
import torch

from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.base import (
    Backbone,
    Block,
    Context,
    Decoder,
    Feature,
    FeatureBlock,
    Neck,
    at_least,
    part_params,
)
from search_spaces.errors import SpecError
from search_spaces.spec import kinds

PYRAMID = (Feature(8, 4), Feature(12, 8), Feature(32, 16))
DILATED = (Feature(8, 4), Feature(12, 8), Feature(32, 8))
FEATURE_BLOCKS = [(name, kind) for base in (Context, Neck, Decoder) for name, kind in kinds(base).items()]


def _maps(features, image_size, batch=2):
    return [torch.randn(batch, *feature.shape(image_size)) for feature in features]


def test_a_map_has_a_row_for_each_stride_begun():
    assert Feature(7, 8).shape((17, 16)) == (7, 3, 2)
    assert Feature(7, 1).shape((17, 16)) == (7, 17, 16)


def test_the_kinds_of_each_base():
    assert {"aspp", "psp"} <= set(kinds(Context))
    assert "fpn" in kinds(Neck)
    assert {"deeplabv3plus", "panoptic_fpn", "unet"} <= set(kinds(Decoder))
    assert set(kinds(Context)) | set(kinds(Neck)) | set(kinds(Decoder)) <= set(kinds(FeatureBlock))
    assert "resnet" in kinds(Backbone)


@pytest.mark.parametrize(("name", "kind"), FEATURE_BLOCKS, ids=[name for name, _ in FEATURE_BLOCKS])
@pytest.mark.parametrize("features", [PYRAMID, DILATED], ids=["strides", "dilated"])
@pytest.mark.parametrize("image_size", [(64, 64), (37, 51), (5, 90)], ids=str)
def test_what_comes_out_is_what_the_spec_says(name, kind, features, image_size):
    block = kind()
    assert Block.from_json(block.to_json()) == block
    inputs = features if block.takes == "pyramid" else features[-1:]
    try:
        block.outputs(inputs)
    except SpecError as error:
        assert features is DILATED and error.path  # some go up by doublings, which need strides that double
        return
    module = block.build(inputs)
    maps = _maps(inputs, image_size)
    found = module(maps if block.takes == "pyramid" else maps[0])
    found = found["out"] if isinstance(found, dict) else found  # beside it: maps for auxiliary heads
    found = found if block.gives == "pyramid" else (found,)
    assert isinstance(found, tuple)
    assert [tuple(x.shape[1:]) for x in found] == [feature.shape(image_size) for feature in block.outputs(inputs)]


def test_too_few_maps_are_refused():
    with pytest.raises(SpecError, match="needs a pyramid of 4 maps or more; got 3"):
        at_least(PYRAMID, 4, "a decoder")


def test_parameters_of_parts_by_name():
    parts = part_params(Resnet(), (3, 32, 32), 1000)
    assert parts["fc"] == 512 * 1000 + 1000
    assert parts["conv1"] == 49 * 3 * 64
    assert sum(parts.values()) == 11_689_512
