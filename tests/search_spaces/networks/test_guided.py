"""Modules of guided fusions."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.blocks.base import Feature
from search_spaces.blocks.guided import GlobalAttentionUpsample

INPUTS = (Feature(6, 8), Feature(10, 16))


def _up(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_c11_a_fine_map_is_weighed_a_channel_by_the_average_of_the_coarse_one(activation: str) -> None:
    module = GlobalAttentionUpsample(activation=activation).build(INPUTS).eval()
    fine, coarse = torch.randn(2, 6, 7, 9), torch.randn(2, 10, 4, 5)
    step = module.steps[0]
    weights = step.weigh(coarse)
    assert weights.shape == (2, 10, 1, 1)
    logits = step.weigh[2](step.weigh[1](coarse.mean((2, 3), keepdim=True)))
    assert torch.allclose(weights, logits.relu() if activation == "relu" else logits.sigmoid(), atol=1e-6)
    expected = _up(coarse, (7, 9)) + step.refine(fine) * weights
    assert torch.allclose(module([fine, coarse]), expected, atol=1e-6)


def test_c11_without_weights_the_coarse_map_is_resized() -> None:
    module = GlobalAttentionUpsample().build(INPUTS)
    nn.init.zeros_(module.steps[0].weigh[1].weight)
    fine, coarse = torch.randn(2, 6, 7, 9), torch.randn(2, 10, 4, 5)
    assert torch.equal(module([fine, coarse]), _up(coarse, (7, 9)))


def test_more_maps_are_joined_from_the_coarsest_on() -> None:
    inputs = (*INPUTS, Feature(4, 32))
    module = GlobalAttentionUpsample().build(inputs).eval()
    maps = [torch.randn(2, 6, 8, 8), torch.randn(2, 10, 4, 4), torch.randn(2, 4, 2, 2)]
    coarse, fine = module.steps
    assert torch.equal(module(maps), fine(coarse(maps[2], maps[1]), maps[0]))
    assert module(maps).shape == (2, 4, 8, 8)


def test_one_image_whose_average_is_a_single_value_trains() -> None:
    module = GlobalAttentionUpsample().build(INPUTS).train()
    assert module([torch.randn(1, 6, 7, 9), torch.randn(1, 10, 4, 5)]).isfinite().all()
