"""Shared layers against slow formulas."""

import pytest
import torch
from torch.nn import functional as F

from search_spaces.build import set_drop_path, set_progress
from search_spaces.networks.layers import (
    Concatenate,
    DotProductAttention,
    DropPath,
    GlobalAverage,
    SoftmaxPool,
    as_map,
    tokens,
)


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


def test_c06_dot_product_attention_is_its_formula():
    query, key, value = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 7, 8), torch.randn(2, 3, 7, 8)
    mask = torch.randn(2, 3, 5, 7)
    logits = query @ key.transpose(2, 3)
    for scale, given, expected in [
        (None, None, logits / 8**0.5),
        (1.0, None, logits),
        (None, mask, logits / 8**0.5 + mask),
    ]:
        module = DotProductAttention(scale)
        found = module(query, key, value, given)
        assert torch.allclose(found, expected.softmax(3) @ value, atol=1e-6)
        assert module.macs((query, key, value), found) == 2 * 3 * 5 * 7 * (8 + 8)


def test_c06_products_of_d_numbers_have_variance_d_so_that_scaled_ones_have_variance_1():
    query, key = torch.randn(20_000, 64), torch.randn(20_000, 64)
    products = (query * key).sum(1)
    assert products.var().item() == pytest.approx(64, rel=0.05)
    # With values that are unit vectors attention returns its weights, here of two keys: their logarithms' difference.
    weights = DotProductAttention()(
        query[:, None], torch.stack([key, 0 * key], 1), torch.eye(2, 64).expand(20_000, -1, -1)
    )
    assert weights[:, 0, :2].log().diff(dim=1).var().item() == pytest.approx(1, rel=0.05)


def test_c06_the_derivatives_of_attention_weights_are_those_of_the_softmax():
    unit = torch.eye(5)[None, None]
    attend = DotProductAttention(scale=1.0)  # of unit keys and values: the softmax of the query
    logits = torch.randn(1, 1, 1, 5)
    weights = attend(logits, unit, unit).flatten()
    found = torch.autograd.functional.jacobian(lambda x: attend(x, unit, unit).flatten(), logits).reshape(5, 5)
    expected = torch.diag(weights) - weights[:, None] * weights  # S_i (delta_ij - S_j)
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_softmax_pool_weighs_positions():
    x, logits = torch.randn(2, 3, 4, 5), torch.randn(2, 1, 4, 5)
    weights = logits.flatten(2).softmax(2).unflatten(2, (4, 5))
    found = SoftmaxPool()(x, logits)
    assert found.shape == (2, 3, 1, 1)
    assert torch.allclose(found, (x * weights).sum((2, 3), keepdim=True), atol=1e-6)


def test_a_map_is_a_sequence_row_by_row():
    x = torch.arange(12.0).reshape(1, 2, 2, 3)
    assert tokens(x)[0, :, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert torch.equal(as_map(tokens(x), x), x)
