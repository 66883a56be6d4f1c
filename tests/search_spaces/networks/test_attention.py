"""Modules of channel attention."""

import pytest
import torch
from torch import nn

from search_spaces.blocks.attention import Cbam, Cfam, SqueezeExcitation
from search_spaces.blocks.base import Feature
from tests.search_spaces.networks.checks import assert_trains

PLACE = (Feature(8, 4),)


def test_c01_without_weights_every_channel_is_halved() -> None:
    module = SqueezeExcitation(reduction=4).build(PLACE)
    nn.init.zeros_(module.expand.weight)
    nn.init.zeros_(module.expand.bias)
    x = torch.randn(2, 8, 5, 6)
    assert torch.equal(module(x), x / 2)


def test_c02_the_gates_of_cbam_lie_between_0_and_1_and_multiply() -> None:
    module = Cbam(reduction=4, kernel=3).build(PLACE).eval()
    x = 3 * torch.randn(2, 8, 5, 6)
    channel = module.channel_gate(x)
    spatial = module.spatial_gate(x * channel)
    assert channel.shape == (2, 8, 1, 1) and spatial.shape == (2, 1, 5, 6)
    assert all(0 < gate.min() and gate.max() < 1 for gate in (channel, spatial))
    assert torch.equal(module(x), x * channel * spatial)


def test_c02_the_channel_gate_of_cbam_reads_averages_and_maxima_by_the_same_layers() -> None:
    module = Cbam(reduction=4).build(PLACE).eval()
    constant = torch.randn(2, 8, 1, 1).expand(-1, -1, 5, 6)  # its average is its maximum
    assert torch.allclose(module.channel_gate(constant), (2 * module.mlp(constant[:, :, :1, :1])).sigmoid(), atol=1e-6)


def test_without_weights_cbam_leaves_a_quarter() -> None:
    module = Cbam().build(PLACE).eval()
    for parameter in (*module.mlp.parameters(), *module.conv.parameters()):
        nn.init.zeros_(parameter)
    x = torch.randn(2, 8, 5, 6)
    assert torch.equal(module(x), x / 4)


def test_c13_cfam_starts_as_the_identity() -> None:
    x = torch.randn(2, 8, 5, 6)
    for energy in ("plain", "reversed"):
        assert torch.equal(Cfam(energy=energy).build(PLACE)(x), x)


def test_c13_cfam_mixes_channels_by_the_softmax_of_their_gram_matrix() -> None:
    x = torch.randn(2, 8, 3, 4) / 2
    rows = x.flatten(2)
    gram = rows @ rows.transpose(1, 2)
    assert torch.equal(gram, gram.transpose(1, 2))
    energies = {"plain": gram, "reversed": gram.amax(2, keepdim=True) - gram}
    for energy, expected in energies.items():
        module = Cfam(energy=energy).build(PLACE)
        weights = module.weights(x)
        assert torch.allclose(weights.sum(2), torch.ones(2, 8), atol=1e-6)
        assert torch.allclose(weights, expected.softmax(2), atol=1e-6)
        nn.init.constant_(module.factor, 0.5)
        mixed = (expected.softmax(2) @ rows).reshape(x.shape)
        assert torch.allclose(module(x), 0.5 * mixed + x, atol=1e-6)


@pytest.mark.parametrize("block", [Cfam(energy="reversed"), Cfam(inner=6), Cbam(kernel=3)], ids=str)
def test_other_options_train(block) -> None:
    assert_trains(block.build(PLACE), torch.randn(2, 8, 5, 6))


def test_inner_channels_of_cfam_lie_between_convolutions() -> None:
    module = Cfam(inner=6).build(PLACE).eval()
    x = torch.randn(2, 8, 5, 6)
    assert torch.equal(module(x), module.behind(module.before(x)))
    nn.init.ones_(module.attention.factor)
    assert module.before(x).shape == (2, 6, 5, 6)
    assert not torch.allclose(module(x), module.behind(module.before(x)))
