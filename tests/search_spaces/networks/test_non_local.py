"""Modules of non-local blocks, against the sums over all pairs of positions."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from search_spaces.blocks.base import Feature
from search_spaces.blocks.non_local import GlobalContext, NonLocal, SimplifiedNonLocal
from search_spaces.networks.layers import SoftmaxPool, tokens
from search_spaces.networks.non_local import sum_of_relu
from tests.search_spaces.networks.checks import assert_trains

PLACE = (Feature(8, 4),)
FORMS = ["gaussian", "embedded", "dot", "concat"]


def _slow(form: str, reads: nn.Module, x: Tensor, source: Tensor) -> Tensor:
    """Equation 1 of the paper: all weights at once."""
    value = tokens(reads.value(source))
    if form == "gaussian":
        weights = (tokens(x) @ tokens(source).transpose(1, 2)).softmax(2)
    else:
        query, key = tokens(reads.query(x)), tokens(reads.key(source))
        products = query @ key.transpose(1, 2)
        if form == "embedded":
            weights = products.softmax(2)
        elif form == "dot":
            weights = products / key.shape[1]
        else:
            pairs = torch.cat(
                [query[:, :, None].expand(-1, -1, key.shape[1], -1), key[:, None].expand(-1, query.shape[1], -1, -1)], 3
            )
            vector = torch.cat([reads.query_score.weight, reads.key_score.weight], 1).flatten()
            weights = (pairs @ vector).relu() / key.shape[1]
    return (weights @ value).transpose(1, 2).unflatten(2, x.shape[2:])


@pytest.mark.parametrize("subsample", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_its_formula(form: str, subsample: bool) -> None:
    module = NonLocal(form=form, subsample=subsample).build(PLACE)
    nn.init.normal_(module.out.weight)
    x = torch.randn(2, 8, 5, 6)
    source = F.max_pool2d(x, 2, ceil_mode=True) if subsample else x
    assert source.shape[2:] == ((3, 3) if subsample else (5, 6))
    expected = x + module.out(_slow(form, module.reads, x, source))
    assert torch.allclose(module(x), expected, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_trains(form: str) -> None:
    module = NonLocal(form=form, subsample=True).build(PLACE)
    nn.init.normal_(module.out.weight)
    assert_trains(module, torch.randn(2, 8, 5, 6))


@pytest.mark.parametrize("form", FORMS)
def test_c03_a_non_local_block_starts_as_the_identity(form: str) -> None:
    x = torch.randn(2, 8, 5, 6)
    assert torch.equal(NonLocal(form=form).build(PLACE)(x), x)


def test_c03_the_embedded_form_is_dot_product_attention_of_scale_1() -> None:
    reads = NonLocal().build(PLACE).reads
    x = torch.randn(2, 8, 5, 6)
    query, key, value = (tokens(conv(x))[:, None].contiguous() for conv in (reads.query, reads.key, reads.value))
    expected = F.scaled_dot_product_attention(query, key, value, scale=1.0)[:, 0]
    assert torch.equal(tokens(reads(x, x)), expected)


@pytest.mark.parametrize("form", ["gaussian", "embedded"])
def test_no_form_holds_a_weight_for_every_pair_of_positions(form: str) -> None:
    module = NonLocal(form=form).build(PLACE)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # raises where only the plain formula would do
        module(torch.randn(2, 8, 5, 6, requires_grad=True)).sum().backward()


def test_sums_of_relu_and_their_gradients_are_those_over_all_pairs() -> None:
    a, b, values = torch.randn(2, 7), torch.randn(2, 9), torch.randn(2, 9, 3)
    a[0, 0], a[0, 1] = 100.0, -100.0  # all pairs are positive; none is
    upstream = torch.randn(2, 7, 3)
    found, expected = [], []
    for results, total in (
        (found, sum_of_relu),
        (expected, lambda a, b, v: (a[:, :, None] + b[:, None]).relu() @ v),
    ):
        given = [x.clone().requires_grad_() for x in (a, b, values)]
        out = total(*given)
        results += [out, *torch.autograd.grad(out, given, upstream)]
    assert torch.equal(found[0][0, 1], torch.zeros(3))
    assert all(torch.allclose(x, y, atol=1e-4, rtol=1e-5) for x, y in zip(found, expected, strict=True))


def test_c04_the_simplified_block_adds_the_same_everywhere() -> None:
    module = SimplifiedNonLocal().build(PLACE)
    x = torch.randn(2, 8, 5, 6)
    added = module(x) - x
    assert added.abs().min() > 0
    assert torch.allclose(added, added[:, :, :1, :1].expand_as(added), atol=1e-6)


def test_c04_without_scores_the_context_is_the_average() -> None:
    x = torch.randn(2, 8, 5, 6)
    found = SoftmaxPool()(x, torch.zeros(2, 1, 5, 6))
    assert torch.allclose(found, F.adaptive_avg_pool2d(x, 1), atol=1e-6)
    module = SimplifiedNonLocal().build(PLACE)
    nn.init.zeros_(module.score.weight)
    expected = x + module.out(F.adaptive_avg_pool2d(x, 1))
    assert torch.allclose(module(x), expected, atol=1e-6)


def test_c05_global_context_is_added_the_same_everywhere_and_starts_at_nothing() -> None:
    module = GlobalContext(reduction=2).build(PLACE)
    x = torch.randn(2, 8, 5, 6)
    assert torch.equal(module(x), x)
    nn.init.normal_(module.expand.weight)
    added = module(x) - x
    assert added[:, :, 0, 0].abs().max() > 0.1
    assert torch.allclose(added, added[:, :, :1, :1].expand_as(added), atol=1e-6)


def test_global_context_as_a_scale_starts_at_a_half() -> None:
    module = GlobalContext(fuse="scale").build(PLACE)
    x = torch.randn(2, 8, 5, 6)
    assert torch.equal(module(x), x / 2)
