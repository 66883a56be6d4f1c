"""The relaxed network: the fast way equals what is meant, and one choice an edge equals the network of that choice."""

import copy

import pytest
import torch

from search_spaces.architectures.darts import PRIMITIVES, darts
from search_spaces.networks.darts_supernet import RelaxedCell


def _network(size=8, **fields):
    torch.manual_seed(0)
    fields = {"layers": 4, "channels": 2, "nodes": 2} | fields
    return darts(**fields).relax((3, size, size), 5).double()


def _run(network, images, plain, monkeypatch):
    with monkeypatch.context() as patch:
        if plain:
            patch.setattr(RelaxedCell, "_mixed", RelaxedCell._summed)
        for logits in network.logits.values():
            logits.requires_grad_(True)
        out = network(images)["out"]
        (out * torch.arange(5)).square().sum().backward()
    gradients = [x.grad for x in (*network.logits.values(), *network.parameters())]
    return out.detach(), gradients, dict(network.named_buffers())


@pytest.mark.parametrize("size", [16, 9])  # 9: sizes that have no phases
def test_outputs_gradients_and_running_figures_are_those_of_the_plain_sum(size, monkeypatch):
    network, images = _network(size), torch.randn(6, 3, size, size, dtype=torch.float64)
    other = copy.deepcopy(network)
    (out, gradients, buffers), (wanted, others, figures) = (
        _run(one, images, plain, monkeypatch) for one, plain in ((network, False), (other, True))
    )
    assert torch.allclose(out, wanted, rtol=1e-10)
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(gradients, others, strict=True))
    for name, value in buffers.items():
        if "num_batches" not in name:
            assert torch.allclose(value, figures[name], rtol=1e-8, atol=1e-10), name


def test_the_fast_way_is_taken_in_training_alone(monkeypatch):
    network, images = _network(), torch.randn(4, 3, 8, 8, dtype=torch.float64)

    def refuse(*args):
        raise AssertionError("fast")

    monkeypatch.setattr(RelaxedCell, "_mixed", refuse)
    assert network.eval()(images).shape == (4, 5)
    with pytest.raises(AssertionError, match="fast"):
        network.train()(images)


@pytest.mark.parametrize("size", [4, 3])
def test_one_value_a_channel_leaves_running_figures_as_they_are(size, monkeypatch):
    network, images = _network(size), torch.randn(1, 3, size, size, dtype=torch.float64)
    other = copy.deepcopy(network)
    before = copy.deepcopy(dict(network.named_buffers()))
    out, _, buffers = _run(network, images, False, monkeypatch)
    wanted, _, figures = _run(other, images, True, monkeypatch)
    assert torch.allclose(out, wanted, rtol=1e-10)
    assert all(torch.allclose(value, figures[name]) for name, value in buffers.items() if "num_batches" not in name)
    last = [name for name in buffers if name.startswith("cells.3.edges") and "running_var" in name]
    assert last and all(torch.equal(buffers[name], before[name]) for name in last)


def test_options_of_weight_zero_are_not_computed():
    network, images = _network(), torch.randn(4, 3, 8, 8, dtype=torch.float64)
    called = []
    for cell in network.cells:
        for edge in cell.edges:
            for name, module in edge.items():
                module.register_forward_hook(lambda *a, name=name: called.append(name))
    rows = torch.zeros(5, 8, dtype=torch.float64)
    rows[:, PRIMITIVES.index("dil3")] = 1.0
    network.choose({"normal": rows, "reduction": rows})
    network.eval()(images)
    assert called == ["dil3"] * 5 * 4
    network.choose({"normal": 0 * rows, "reduction": 0 * rows})
    assert torch.equal(network(images), network.classifier.bias.expand(4, 5))


def test_logits_take_gradients_and_are_no_parameters():
    network = _network()
    assert not {id(p) for p in network.parameters()} & {id(x) for x in network.logits.values()}
    for logits in network.logits.values():
        logits.requires_grad_(True)
    loss = network(torch.randn(4, 3, 8, 8, dtype=torch.float64))["out"].square().sum()
    gradients = torch.autograd.grad(loss, list(network.logits.values()))
    assert all(g.abs().sum() > 0 for g in gradients)
