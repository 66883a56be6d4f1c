"""Modules of gates."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.gates import AttentionGate, ThunderSam


def _zeroed(*layers: nn.Module) -> None:
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)


@pytest.mark.parametrize("guide_size", [(3, 4), (6, 8), (5, 3), (1, 1)], ids=str)
def test_c09_additive_weights_are_one_a_position_between_0_and_1(guide_size: tuple[int, int]) -> None:
    module = AttentionGate().build(8, 6)
    x, guide = torch.randn(2, 8, 6, 8), torch.randn(2, 6, *guide_size)
    weights = module.weights(x, guide)
    assert weights.shape == (2, 1, 6, 8)
    assert 0 < weights.min() and weights.max() < 1
    assert torch.equal(module(x, guide), x * weights)


def test_c09_additive_weights_are_those_of_the_paper() -> None:
    module = AttentionGate(reduction=4).build(8, 6)
    x, guide = torch.randn(1, 8, 6, 8), torch.randn(1, 6, 6, 8)
    own, other, score = (layer.weight[:, :, 0, 0] for layer in (module.map, module.guide, module.score))
    hidden = (own @ x[0, :, 2, 5] + other @ guide[0, :, 2, 5] + module.guide.bias).relu()
    expected = (score @ hidden + module.score.bias).sigmoid()[0]
    assert torch.allclose(module.weights(x, guide)[0, 0, 2, 5], expected, atol=1e-6)


def test_a_coarse_guide_sees_averages_and_its_weights_are_resized() -> None:
    module = AttentionGate().build(8, 6)
    x, guide = torch.randn(2, 8, 6, 8), torch.randn(2, 6, 3, 4)
    coarse = module.weights(F.avg_pool2d(x, 2), guide)
    expected = F.interpolate(coarse, size=(6, 8), mode="bilinear", align_corners=False)
    assert torch.allclose(module.weights(x, guide), expected, atol=1e-6)


def test_c09_c12_a_gate_that_knows_nothing_halves() -> None:
    x, guide = torch.randn(2, 8, 6, 8), torch.randn(2, 6, 3, 4)
    additive, thunder = AttentionGate().build(8, 6), ThunderSam().build(8, 6).eval()
    _zeroed(additive.score, thunder.conv)
    nn.init.zeros_(thunder.norm.bias)
    assert torch.equal(additive(x, guide), x / 2)
    assert torch.equal(thunder(x, guide), x / 2)


def test_c12_thundernet_weighs_every_value_by_itself() -> None:
    module = ThunderSam().build(8, 6).eval()
    x, guide = torch.randn(2, 8, 6, 8), torch.randn(2, 6, 6, 8)
    weights = module.norm(module.conv(guide)).sigmoid()
    assert weights.shape == x.shape
    assert torch.equal(module(x, guide), x * weights)
