"""Modules of feature pyramid attention."""

import pytest
import torch
from torch import nn

from search_spaces.blocks.base import Feature
from search_spaces.blocks.pyramid_attention import FeaturePyramidAttention
from tests.search_spaces.networks.checks import assert_trains

PLACE = (Feature(8, 32),)


@pytest.mark.parametrize("size", [(8, 16), (7, 5), (2, 3), (1, 1)], ids=str)
@pytest.mark.parametrize("weights", ["one", "each"])
def test_c10_maps_of_any_size_keep_their_shape(size: tuple[int, int], weights: str) -> None:
    module = FeaturePyramidAttention(weights=weights).build(PLACE).eval()
    assert module(torch.randn(2, 8, *size)).shape == (2, 8, *size)


def test_the_pyramid_halves_the_map_and_rounds_up() -> None:
    module = FeaturePyramidAttention().build(PLACE).eval()
    sizes = []
    for part in module.pyramid.modules():
        if hasattr(part, "across"):
            part.across.register_forward_hook(lambda _, __, out: sizes.append(tuple(out.shape[1:])))
    module(torch.randn(1, 8, 13, 6))
    assert sizes == [(1, 7, 3), (1, 4, 2), (1, 2, 1)]
    assert module.pyramid.down[0].kernel_size == (7, 7)
    assert module.pyramid.below.below.down[0].kernel_size == (3, 3)


@pytest.mark.parametrize("weights", ["one", "each"])
def test_c10_without_its_pyramid_only_the_average_is_left(weights: str) -> None:
    module = FeaturePyramidAttention(weights=weights).build(PLACE).eval()
    for parameter in module.pyramid.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(2, 8, 7, 5)
    found = module(x)
    assert torch.equal(found, module.average(x))
    assert torch.allclose(found, found[:, :, :1, :1].expand_as(found), atol=1e-6)


def test_the_map_is_multiplied_by_its_weights() -> None:
    module = FeaturePyramidAttention(levels=1).build(PLACE).eval()
    x = torch.randn(2, 8, 8, 6)
    weights = torch.nn.functional.interpolate(module.pyramid(x), size=(8, 6), mode="bilinear", align_corners=False)
    assert torch.equal(module(x), module.main(x) * weights + module.average(x))


def test_odd_maps_train() -> None:
    assert_trains(FeaturePyramidAttention(weights="each").build(PLACE), torch.randn(2, 8, 7, 5))
