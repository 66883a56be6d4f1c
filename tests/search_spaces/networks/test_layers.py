"""Shared layers against slow formulas."""

import pytest
import torch
from torch.nn import functional as F

from search_spaces.build import set_drop_path, set_progress
from search_spaces.networks.layers import Concatenate, DropPath, GlobalAverage


def test_drop_path_is_exactly_the_identity_until_it_has_a_rate():
    x = torch.randn(4, 3, 2, 2)
    layer = DropPath()
    before = torch.random.get_rng_state()
    assert layer(x) is x
    set_drop_path(layer, 0.5)
    set_progress(layer, 0.0)
    assert layer(x) is x
    set_progress(layer, 1.0)
    assert layer.eval()(x) is x
    assert torch.equal(before, torch.random.get_rng_state())


def test_drop_path_zeroes_whole_examples_and_keeps_the_mean():
    layer = DropPath(depth=0.5)
    set_drop_path(layer, 0.8)
    set_progress(layer, 0.5)
    x = torch.ones(20_000, 3, 2)
    out = layer(x)
    kept = out[:, 0, 0] != 0
    assert torch.equal(out, torch.where(kept, 1 / 0.8, 0.0)[:, None, None].expand_as(x))
    assert 1 - kept.float().mean().item() == pytest.approx(0.8 * 0.5 * 0.5, abs=0.015)
    assert out.mean().item() == pytest.approx(1.0, abs=0.02)


def test_drop_path_draws_from_the_global_generator():
    layer = DropPath()
    set_drop_path(layer, 0.5)
    x = torch.ones(64, 1)
    state = torch.random.get_rng_state()
    first = layer(x)
    assert not torch.equal(first, layer(x))
    torch.random.set_rng_state(state)
    assert torch.equal(first, layer(x))


def test_concatenate_puts_smaller_maps_in_the_middle_of_zeros():
    tall, wide = torch.ones(2, 1, 5, 2), torch.full((2, 2, 2, 4), 3.0)
    out = Concatenate()(tall, wide)
    assert out.shape == (2, 3, 5, 4)
    assert torch.equal(out[:, :1, :, 1:3], tall) and torch.equal(out[:, 1:, 1:3, :], wide)
    assert out.sum() == tall.sum() + wide.sum()
    assert Concatenate()(tall) is tall


def test_global_average_equals_concatenation_and_average_pooling():
    maps = (torch.randn(2, 3, 5, 2), torch.randn(2, 1, 2, 4), torch.randn(2, 2, 5, 4))
    slow = F.adaptive_avg_pool2d(Concatenate()(*maps), 1).flatten(1)
    assert torch.allclose(GlobalAverage()(*maps), slow, atol=1e-6)
