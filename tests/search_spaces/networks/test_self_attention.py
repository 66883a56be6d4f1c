"""Modules of self-attention, against torch's own."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from search_spaces.blocks.base import Feature
from search_spaces.blocks.self_attention import SelfAttention, Transformer
from search_spaces.networks.layers import as_map, tokens
from search_spaces.networks.self_attention import EncoderLayer, MultiHeadAttention
from tests.search_spaces.networks.checks import assert_exports, assert_trains

PLACE = (Feature(16, 4),)


def _copy(mine: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    with torch.no_grad():
        for parameter in mine.parameters():
            parameter.copy_(torch.randn_like(parameter) / 4)
        theirs.in_proj_weight.copy_(mine.project.weight)
        theirs.in_proj_bias.copy_(mine.project.bias)
        theirs.out_proj.load_state_dict(mine.out.state_dict())


@pytest.mark.parametrize("heads", [1, 4])
def test_c06_multi_head_attention_is_torchs(heads: int) -> None:
    mine, theirs = MultiHeadAttention(16, heads), nn.MultiheadAttention(16, heads, batch_first=True)
    _copy(mine, theirs)
    x = torch.randn(2, 7, 16)
    assert torch.allclose(mine(x), theirs(x, x, x, need_weights=False)[0], atol=1e-6)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_c08_an_encoder_layer_is_torchs(norm: str) -> None:
    mine = EncoderLayer(Transformer(heads=4, norm=norm), 16).eval()
    theirs = nn.TransformerEncoderLayer(16, 4, 64, batch_first=True, norm_first=norm == "pre").eval()
    _copy(mine.attention, theirs.self_attn)
    for name in ("linear1", "linear2", "norm1", "norm2"):
        layer = getattr(mine, name)
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
        getattr(theirs, name).load_state_dict(layer.state_dict())
    x = torch.randn(2, 7, 16)
    assert torch.allclose(mine(x), theirs(x), atol=1e-5)


def _shuffled(module: nn.Module, x: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """The result for moved positions, and the moved result."""
    moved = as_map(tokens(x)[:, order], x)
    return tokens(module(moved)), tokens(module(x))[:, order]


@pytest.mark.parametrize("spec", [SelfAttention(heads=2), Transformer(layers=2, heads=2)], ids=["attention", "encoder"])
def test_c08_without_positions_the_order_of_a_map_does_not_matter_and_with_them_it_does(spec) -> None:
    x, order = torch.randn(2, 16, 3, 4), torch.randperm(12)
    for position in ("none", "sin", "learned"):
        module = type(spec).from_data({**spec.to_data(), "position": position}).build(PLACE).eval()
        if position == "learned":
            nn.init.normal_(module.positions.grid)
        with torch.no_grad():
            found, expected = _shuffled(module, x, order)
        assert found.shape == (2, 12, 16)
        assert torch.allclose(found, expected, atol=1e-4) == (position == "none")


def test_no_weight_is_held_for_every_pair_of_positions() -> None:
    module = Transformer().build(PLACE).train()
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # raises where only the plain formula would do
        module(torch.randn(2, 16, 5, 6)).sum().backward()


def test_dropout_changes_training_alone() -> None:
    module = Transformer(dropout=0.5).build(PLACE)
    x = torch.randn(2, 16, 3, 4)
    assert not torch.equal(module(x), module(x))
    module.eval()
    assert torch.equal(module(x), module(x))


@pytest.mark.parametrize("size", [(1, 1), (5, 3)], ids=str)
def test_learned_positions_train_at_any_size(size: tuple[int, int]) -> None:
    assert_trains(Transformer(position="learned", norm="pre").build(PLACE), torch.randn(2, 16, *size))


def test_learned_positions_export_for_any_number_of_maps() -> None:
    assert_exports(SelfAttention(position="learned").build(PLACE), torch.randn(2, 16, 5, 3))
