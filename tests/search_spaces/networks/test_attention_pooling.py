"""Modules of attentive pooling."""

import pytest
import torch
from torch import nn

from search_spaces.blocks.attention_pooling import LearnToPayAttention
from search_spaces.blocks.base import Feature

INPUTS = (Feature(4, 8), Feature(8, 16), Feature(8, 32))


def _maps() -> list[torch.Tensor]:
    return [torch.randn(2, feature.channels, 12 // 2**i, 8 // 2**i) for i, feature in enumerate(INPUTS)]


@pytest.mark.parametrize("score", ["dot", "param"])
def test_c14_descriptors_are_averages_whose_weights_add_up_to_1(score: str) -> None:
    module = LearnToPayAttention(score=score, layers=3).build(INPUTS)
    maps = _maps()
    whole = maps[-1].mean((2, 3))
    expected = []
    for x, project, scored in zip(maps, module.projects, module.scores, strict=True):
        local = project(x).flatten(2)
        if score == "dot":
            logits = torch.einsum("ncp,nc->np", local, whole)
        else:
            logits = torch.einsum("ncp,c->np", local + whole[..., None], scored.conv.weight.flatten())
        assert torch.allclose(scored(project(x), whole[..., None, None]).flatten(1), logits, atol=1e-5)
        weights = logits.softmax(1)
        assert torch.allclose(weights.sum(1), torch.ones(2), atol=1e-6)
        expected.append((local * weights[:, None]).sum(2))
    assert torch.allclose(module(maps), torch.cat(expected, 1), atol=1e-5)


def test_a_constant_map_is_its_own_descriptor() -> None:
    module = LearnToPayAttention(layers=1).build(INPUTS)
    vector = torch.randn(2, 8)
    maps = [*_maps()[:2], vector[:, :, None, None].expand(-1, -1, 3, 2)]
    assert torch.allclose(module(maps), vector, atol=1e-6)


def test_c14_dot_scores_with_an_average_of_zero_pool_the_mean() -> None:
    module = LearnToPayAttention(score="dot", layers=2).build(INPUTS)
    maps = _maps()
    maps[-1] = maps[-1] - maps[-1].mean((2, 3), keepdim=True)
    found = module(maps)
    assert torch.allclose(found[:, :8], maps[1].mean((2, 3)), atol=1e-5)
    assert torch.allclose(found[:, 8:], torch.zeros(2, 8), atol=1e-5)


def test_only_maps_of_other_channels_are_projected() -> None:
    module = LearnToPayAttention(layers=3).build(INPUTS)
    assert [isinstance(project, nn.Conv2d) for project in module.projects] == [True, False, False]
