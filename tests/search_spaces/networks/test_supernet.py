"""Logits of a supernet: no weights, but part of its state; and what takes their place."""

import torch

from search_spaces.networks.supernet import Supernet


def _made() -> Supernet:
    torch.manual_seed(0)
    return Supernet({"a": (50, 8), "b": (2, 3)})


def test_logits_begin_small_and_are_buffers():
    network = _made()
    assert list(network.parameters()) == []
    assert list(network.state_dict()) == ["logits_a", "logits_b"]
    assert {name: logits.shape for name, logits in network.logits.items()} == {"a": (50, 8), "b": (2, 3)}
    assert 0.8e-3 < network.logits["a"].std() < 1.2e-3


def test_the_mixture_is_the_softmax_unless_another_was_chosen():
    network = _made()
    with torch.no_grad():
        network.logits["b"].copy_(torch.tensor([[0.0, 0.0, 100.0], [1.0, 1.0, 1.0]]))
    assert torch.allclose(network.mixture()["b"], torch.tensor([[0.0, 0.0, 1.0], [1 / 3, 1 / 3, 1 / 3]]))
    chosen = {"a": torch.zeros(50, 8), "b": torch.eye(2, 3)}
    network.choose(chosen)
    assert network.mixture() == chosen
    network.choose(None)
    assert torch.allclose(network.mixture()["a"].sum(1), torch.ones(50))
