"""Modules of global pooling."""

import torch
from torch import nn

from search_spaces.blocks.base import Feature
from search_spaces.blocks.pooling import (
    AttentionalPooling,
    BilinearPooling,
    FactorisedBilinear,
    GlobalAverageMax,
    GlobalMax,
)
from search_spaces.networks.pooling import AverageModule


def test_d04_the_average_is_blind_to_the_order_of_positions() -> None:
    x = torch.randn(2, 3, 4, 5)
    mixed = x.flatten(2)[..., torch.randperm(20)].reshape(x.shape)
    assert torch.allclose(AverageModule()([x]), AverageModule()([mixed]), atol=1e-6)
    assert AverageModule()([x]).shape == (2, 3)


def test_greatest_values_and_both() -> None:
    x = torch.randn(2, 3, 4, 5)
    greatest = GlobalMax().build((Feature(3, 8),))([x])
    assert torch.equal(greatest, x.flatten(2).max(2).values)
    both = GlobalAverageMax().build((Feature(3, 8),))([x])
    assert torch.equal(both, torch.cat([x.mean((2, 3)), greatest], 1))


def test_d05_bilinear_pooling_of_one_stream_is_its_gram_matrix() -> None:
    x = torch.randn(2, 4, 3, 5)
    spec = BilinearPooling(normalize=False)
    gram = spec.build((Feature(4, 8),))([x]).reshape(2, 4, 4)
    assert torch.allclose(gram, gram.transpose(1, 2), atol=1e-5)
    assert torch.linalg.eigvalsh(gram).min() > -1e-4
    assert torch.allclose(gram.diagonal(dim1=1, dim2=2).sum(1), x.square().sum((1, 2, 3)), atol=1e-4)
    mixed = x.flatten(2)[..., torch.randperm(15)].reshape(x.shape)
    assert torch.allclose(spec.build((Feature(4, 8),))([mixed]).reshape(2, 4, 4), gram, atol=1e-5)
    assert BilinearPooling(second=7).features((Feature(4, 8),)) == 28
    length = BilinearPooling().build((Feature(4, 8),))([x]).norm(dim=1)
    assert torch.allclose(length, torch.ones(2), atol=1e-5)


def test_d06_a_factorised_bilinear_layer_is_its_explicit_form() -> None:
    classifier = FactorisedBilinear(rank=5, keep=1.0).build((Feature(6, 8),), 3)
    assert sum(p.numel() for p in classifier.parameters()) == 3 * (1 + 6 + 5 * 6)  # c (1 + n + k n)
    layer, x = classifier.bilinear, torch.randn(4, 6)
    nn.init.normal_(layer.factors.weight)
    factors = layer.factors.weight.reshape(3, 5, 6)
    explicit = torch.einsum("ni,cki,ckj,nj->nc", x, factors, factors, x) + layer.linear(x)
    assert (layer(x) - explicit).abs().max() < 4e-5
    nn.init.zeros_(layer.factors.weight)
    assert torch.equal(layer(x), layer.linear(x))


def test_d06_whole_factors_are_dropped_in_training_alone() -> None:
    layer = FactorisedBilinear(rank=2, keep=0.5).build((Feature(3, 8),), 2).bilinear
    x = torch.randn(5, 3)
    each = layer.factors(x).unflatten(1, (2, 2)).square()
    allowed = [each @ torch.tensor(kept) for kept in ([0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0])]
    for _ in range(10):
        got = layer.train()(x) - layer.linear(x)
        assert any(torch.allclose(got, one, atol=1e-5) for one in allowed)
    assert torch.allclose(layer.eval()(x) - layer.linear(x), each.sum(2), atol=1e-5)


def test_d07_attentional_pooling_is_the_second_order_trace() -> None:
    module = AttentionalPooling().build((Feature(4, 8),), 3).attend
    x = torch.randn(1, 4, 3, 5)
    rows = x[0].flatten(1).T  # positions x channels
    a, b = module.what.weight.flatten(1), module.where.weight.flatten(1)[0]
    trace = torch.stack([torch.trace(rows.T @ rows @ torch.outer(b, a_k)) for a_k in a]) / len(rows)
    assert torch.allclose(module([x])[0], trace, atol=1e-5)
    # Where the bottom-up map is 1 everywhere, an average-pooled linear classifier is left.
    ones = torch.cat([torch.ones(1, 1, 3, 5), x[:, 1:]], 1)
    nn.init.zeros_(module.where.weight)
    module.where.weight.data[0, 0] = 1.0
    assert torch.allclose(module([ones]), ones.mean((2, 3)) @ a.T, atol=1e-5)
