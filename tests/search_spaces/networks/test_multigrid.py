"""What the multigrid neck computes."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from search_spaces.blocks.base import Feature
from search_spaces.blocks.multigrid import Multigrid

MAPS = (Feature(2, 4), Feature(3, 8), Feature(4, 16))


def test_a14_one_scale_is_a_convolution() -> None:
    module: Any = Multigrid(width=5, scales=1).build(MAPS)
    x = [torch.randn(2, f.channels, 16 // f.stride, 16 // f.stride) for f in MAPS]
    conv = module.layers[0].convs[0]
    (found,) = module(x)
    assert torch.equal(found, F.conv2d(x[-1], conv.weight, conv.bias, padding=1))


def test_a14_each_scale_reads_the_finer_and_the_coarser_one() -> None:
    module: Any = Multigrid(width=5).build(MAPS)
    fine, middle, coarse = (torch.randn(2, f.channels, 32 // f.stride, 48 // f.stride) for f in MAPS)
    found = module([fine, middle, coarse])
    assert [tuple(x.shape) for x in found] == [(2, 5, 8, 12), (2, 5, 4, 6), (2, 5, 2, 3)]
    up = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    conv = module.layers[0].convs[1]
    expected = F.conv2d(torch.cat([F.max_pool2d(fine, 2), middle, up], 1), conv.weight, conv.bias, padding=1)
    assert torch.allclose(found[1], expected, atol=1e-6)


@pytest.mark.parametrize("size", [(33, 47), (5, 4)])
def test_a14_sizes_are_kept_where_they_are_odd_and_where_strides_repeat(size: tuple[int, int]) -> None:
    maps = (*MAPS, Feature(6, 16))
    inputs = [torch.randn(1, *feature.shape(size)) for feature in maps]
    found = Multigrid(width=5, layers=2, kernel=5).build(maps).eval()(inputs)
    assert [x.shape[2:] for x in found] == [x.shape[2:] for x in inputs]


def test_a14_with_each_layer_a_map_hears_from_one_further_away() -> None:
    for layers, heard in ((1, False), (2, True)):
        module = Multigrid(width=5, layers=layers).build(MAPS).eval()
        inputs = [torch.randn(1, *feature.shape((32, 32))) for feature in MAPS]
        changed = [*inputs[:2], inputs[2] + 1]
        assert (not torch.equal(module(inputs)[0], module(changed)[0])) is heard
