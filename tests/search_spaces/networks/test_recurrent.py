"""The language model's network: state, tied weights, dropout, training, export, names."""

import copy

import pytest
import torch

from search_spaces.architectures.recurrent import Recurrent
from search_spaces.blocks.cells import Gru, Lstm
from search_spaces.blocks.tree_cells import TreeCell
from search_spaces.networks.recurrent import detached
from tests.search_spaces.networks.checks import assert_exports, assert_trains

RATES = {"embedding_dropout": 0.5, "layer_dropout": 0.5, "output_dropout": 0.5}


def _model(cell=None, **fields):
    spec = Recurrent(**{"cell": cell or Lstm(), "hidden": 6, "embedding": 5} | fields)
    return spec.build((7,), 11), torch.randint(0, 11, (3, 7))


@pytest.mark.parametrize("cell", [Lstm(), Gru(), TreeCell()], ids=["lstm", "gru", "tree"])
@pytest.mark.parametrize("tied", [False, True])
def test_it_trains_and_exports(cell, tied):
    network, tokens = _model(cell, tied=tied)
    assert_trains(network, tokens)
    found = network(tokens)
    assert sorted(found) == ["features/embedding", "features/layer0", "features/layer1", "out", "state"]
    assert found["out"].shape == (3, 7, 11)
    assert_exports(network, tokens)


@pytest.mark.parametrize("cell", [Lstm(), Gru(), TreeCell()], ids=["lstm", "gru", "tree"])
def test_a_carried_state_joins_the_parts_of_a_text(cell):
    network, tokens = _model(cell)
    network.eval()
    whole = network(tokens)
    first, state = network.advance(tokens[:, :4])
    second, _ = network.advance(tokens[:, 4:], state)
    assert torch.allclose(torch.cat([first, second], dim=1), whole, atol=1e-6)
    assert torch.equal(network(tokens[:, 4:], state), second)
    assert not torch.allclose(network(tokens[:, 4:]), second, atol=0.0)
    network.train()
    found = network(tokens[:, :4])
    assert torch.allclose(network(tokens[:, 4:], detached(found["state"]))["out"], second, atol=1e-6)


def test_gradients_stop_at_a_detached_state():
    network, tokens = _model()
    state = network(tokens)["state"]
    assert all(part.requires_grad for layer in state for part in layer)
    cut = detached(state)
    assert not any(part.requires_grad for layer in cut for part in layer)
    assert all(torch.equal(a, b) for x, y in zip(state, cut, strict=True) for a, b in zip(x, y, strict=True))


def test_the_future_has_no_say_in_the_past():
    network, tokens = _model()
    network.eval()
    changed = tokens.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 11
    assert torch.equal(network(tokens)[:, :4], network(changed)[:, :4])
    assert not torch.equal(network(tokens)[:, 4:], network(changed)[:, 4:])


def test_tied_weights_are_one_and_stay_one_in_a_copy():
    network, tokens = _model(tied=True)
    names = list(network.state_dict())
    assert "decoder.bias" in names and "decoder.weight" not in names
    assert sum(p.numel() for p in network.parameters()) == 11 * 5 + 11 + 4 * 6 * (5 + 6 + 2) + 4 * 5 * (6 + 5 + 2)
    twin = copy.deepcopy(network).eval()
    with torch.no_grad():
        twin.embedding.weight.zero_()
    assert torch.equal(twin(tokens), torch.zeros(3, 7, 11))
    assert network.eval()(tokens).abs().sum() > 0


def test_dropout_has_three_places_and_none_in_eval_mode():
    network, tokens = _model(layers=3, **RATES)
    calls = []
    for name in ("embedding", "layer", "output"):
        getattr(network, f"{name}_dropout").register_forward_hook(lambda *_, name=name: calls.append(name))
    first, second = network(tokens)["out"], network(tokens)["out"]
    assert calls[:4] == ["embedding", "layer", "layer", "output"]
    assert not torch.equal(first, second)
    network.eval()
    assert torch.equal(network(tokens), network(tokens))


def test_names_of_weights():
    network, _ = _model(tied=False, layers=1)
    parts = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    layer = [f"layers.0.lstm.{part}" for part in parts]
    assert list(network.state_dict()) == ["embedding.weight", *layer, "decoder.weight", "decoder.bias"]
