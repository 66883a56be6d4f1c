"""The spatial transformer: where it looks."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.base import Feature
from search_spaces.blocks.spatial_transformer import SpatialTransformer
from search_spaces.networks.spatial_transformer import sampled

PLACE = (Feature(3, 4),)


def test_c20_it_starts_as_the_identity() -> None:
    x = torch.randn(2, 3, 7, 10)
    assert torch.allclose(SpatialTransformer().build(PLACE)(x), x, atol=1e-5)


def test_c20_a_shift_of_two_over_the_width_is_one_pixel() -> None:
    x = torch.randn(2, 3, 8, 16)
    theta = torch.eye(2, 3).repeat(2, 1, 1)
    theta[:, 0, 2] = 2 / 16
    found = sampled(x, theta)
    assert torch.equal(found[..., 1:-1], x[..., 2:])
    assert torch.equal(found[..., -1], torch.zeros(2, 3, 8))


def test_it_samples_as_torch_does() -> None:
    x, theta = torch.randn(2, 3, 7, 10), torch.randn(2, 2, 3)
    expected = F.grid_sample(x, F.affine_grid(theta, [2, 3, 7, 10], align_corners=False), align_corners=False)
    assert torch.allclose(sampled(x, theta), expected, atol=1e-5)


def test_a_quarter_turn_turns() -> None:
    x = torch.randn(1, 3, 8, 8)
    cos, sin = math.cos(math.pi / 2), math.sin(math.pi / 2)
    theta = torch.tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]])
    assert torch.allclose(sampled(x, theta), x.rot90(1, (2, 3)), atol=1e-5)


@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_the_rate_scales_the_distance_from_the_identity(rate: float) -> None:
    module = SpatialTransformer(rate=rate).build(PLACE)
    with torch.no_grad():
        module.affine.bias.copy_(torch.tensor([0.0, 0.0, 2 / 16, 0.0, 0.0, 0.0]) / rate)
    x = torch.randn(2, 3, 8, 16)
    assert torch.allclose(module(x)[..., 1:-1], x[..., 2:], atol=1e-5)


def test_what_is_looked_at_depends_on_the_map() -> None:
    module = SpatialTransformer(rate=1.0).build(PLACE)
    nn.init.normal_(module.affine.weight, std=0.1)
    x = torch.randn(2, 3, 8, 16)
    found = module.affine(module.locate(x).flatten(1))
    assert not torch.allclose(found[0], found[1], atol=1e-3)
    theta = torch.eye(2, 3) + found.unflatten(1, (2, 3))
    assert torch.allclose(module(x), sampled(x, theta), atol=1e-6)


def test_places_stay_exact_in_bfloat16() -> None:
    x = torch.arange(512.0).expand(1, 3, 2, 512)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(SpatialTransformer().build(PLACE)(x), x, atol=1e-3)
