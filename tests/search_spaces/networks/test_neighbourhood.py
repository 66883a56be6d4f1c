"""Modules of local attention, against what they become when their weights are known."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.blocks.base import Feature
from search_spaces.blocks.neighbourhood import PairwiseAttention, PatchwiseAttention
from search_spaces.networks.neighbourhood import PairwiseWeights, PatchwiseWeights, local_sum, neighbours
from tests.search_spaces.networks.checks import assert_trains

PLACE = (Feature(16, 4),)


def test_neighbours_lie_row_by_row_and_beyond_the_map_are_zeros() -> None:
    x = torch.arange(1.0, 13).reshape(1, 1, 3, 4)
    found = neighbours(x, 3)
    assert found.shape == (1, 1, 9, 12)
    assert found[0, 0, :, 5].tolist() == [1, 2, 3, 5, 6, 7, 9, 10, 11]
    assert found[0, 0, :, 0].tolist() == [0, 0, 0, 0, 1, 2, 0, 5, 6]


@pytest.mark.parametrize("footprint", [3, 7])
@pytest.mark.parametrize("relation", ["sub", "sum", "mul", "concat", "dot"])
def test_c17_constant_weights_give_local_means(relation: str, footprint: int) -> None:
    module = PairwiseAttention(relation=relation, footprint=footprint, share=2).build(PLACE).eval()
    nn.init.zeros_(module.weights.mapping[-1].weight)
    x = torch.randn(2, 16, 5, 6)
    expected = F.avg_pool2d(module.value(x), footprint, 1, footprint // 2)
    assert torch.allclose(module.attended(x), expected, atol=1e-6)
    assert module(x).shape == x.shape


@pytest.mark.parametrize("relation", ["star", "clique", "concat"])
def test_c18_weights_that_do_not_depend_on_the_patch_are_a_convolution_of_each_channel(relation: str) -> None:
    module = PatchwiseAttention(relation=relation, footprint=5, share=2).build(PLACE).eval()
    last = module.weights.mapping[-1]
    nn.init.zeros_(last.weight)
    x = torch.randn(2, 16, 5, 6)
    kernels = last.bias.reshape(2, 1, 5, 5).repeat_interleave(2, 0)  # four channels, two of each group
    expected = F.conv2d(module.value(x), kernels, padding=2, groups=4)
    assert torch.allclose(module.attended(x), expected, atol=1e-6)


def _pairwise(module: PairwiseWeights, query: Tensor, key: Tensor, at: tuple[int, int]) -> Tensor:
    """Weights of the neighbours of one position of one map without border, (groups, 9)."""
    rows = []
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            q, k = query[0, :, at[0], at[1]], key[0, :, at[0] + dy, at[1] + dx]
            made = {"sub": q - k, "sum": q + k, "mul": q * k, "concat": torch.cat([q, k]), "dot": (q @ k)[None]}
            place = module.place.weight[:, :, 0, 0] @ torch.tensor([float(dx), float(dy)])
            rows.append(torch.cat([made[module.relation], place]))
    logits = module.mapping(torch.stack(rows, 1)[None, :, :, None])
    return logits[0, :, :, 0].softmax(1)


@pytest.mark.parametrize("relation", ["sub", "sum", "mul", "concat", "dot"])
def test_pairwise_weights_are_made_of_two_values_and_a_place(relation: str) -> None:
    module = PairwiseWeights(relation, related=3, groups=2, footprint=3).eval()
    query, key = torch.randn(1, 3, 4, 5), torch.randn(1, 3, 4, 5)
    found = module(query, key).unflatten(3, (4, 5))
    assert torch.allclose(found.sum(2), torch.ones(1, 2, 4, 5), atol=1e-6)
    for at in [(1, 1), (2, 3)]:
        assert torch.allclose(found[0, :, :, at[0], at[1]], _pairwise(module, query, key, at), atol=1e-6)


@pytest.mark.parametrize("relation", ["star", "clique", "concat"])
def test_a_patch_is_known_by_its_products_or_values(relation: str) -> None:
    module = PatchwiseWeights(relation, related=3, groups=2, footprint=3)
    query, key = torch.randn(1, 3, 4, 5), torch.randn(1, 3, 4, 5)
    found = module.patches(query, key).unflatten(2, (4, 5))[0, :, 1, 2]
    middle, near = query[0, :, 1, 2], key[0, :, 0:3, 1:4].flatten(1)
    around = query[0, :, 0:3, 1:4].flatten(1)
    expected = {
        "star": middle @ near,
        "clique": (around.T @ near).flatten(),
        "concat": torch.cat([middle, near.flatten()]),
    }
    assert torch.allclose(found, expected[relation], atol=1e-6)


def test_channels_side_by_side_share_their_weights() -> None:
    values, weights = torch.randn(1, 4, 3, 3), torch.zeros(1, 2, 9, 9)
    weights[:, 0, 4] = 1.0  # the first group reads the middle, the second one the right neighbour
    weights[:, 1, 5] = 1.0
    found = local_sum(values, weights, 3)
    assert torch.equal(found[:, :2], values[:, :2])
    assert torch.equal(found[:, 2:], F.pad(values, (0, 1))[:, 2:, :, 1:])


@pytest.mark.parametrize("relation", ["sub", "sum", "mul", "concat", "dot", "star", "clique"])
def test_every_relation_trains(relation: str) -> None:
    spec = PatchwiseAttention if relation in ("star", "clique") else PairwiseAttention
    assert_trains(spec(relation=relation, footprint=3, share=2).build(PLACE), torch.randn(2, 16, 5, 6))


def test_the_block_is_residual() -> None:
    for spec in (PairwiseAttention(share=2), PatchwiseAttention(share=2)):
        module = spec.build(PLACE)
        nn.init.zeros_(module.out.weight)
        nn.init.zeros_(module.out.bias)
        x = torch.randn(2, 16, 5, 6)
        assert torch.equal(module(x), x)
