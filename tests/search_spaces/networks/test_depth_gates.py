"""Modules of gates: decisions are 0 or 1, and gradients pass them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.depth_gates import AdaptiveGate, SkipGate
from search_spaces.networks.depth_gates import rounded


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_o06_rounding_is_hard_forwards_and_the_identity_backwards() -> None:
    p = torch.tensor([0.2, 0.5, 0.7], requires_grad=True)
    found = rounded(p)
    assert found.tolist() == [0.0, 0.0, 1.0]
    found.sum().backward()
    assert p.grad is not None and p.grad.tolist() == [1.0, 1.0, 1.0]


def test_o05_hard_gumbel_rows_are_one_hot_fair_and_have_gradients() -> None:
    logits = torch.zeros(4000, 2, requires_grad=True)
    rows = F.gumbel_softmax(logits, 1.0, hard=True)
    assert torch.equal(rows.sum(1), torch.ones(4000)) and set(rows.unique().tolist()) == {0.0, 1.0}
    assert abs(rows[:, 1].mean().item() - 0.5) < 0.03
    rows[:, 1].sum().backward()
    assert logits.grad is not None and logits.grad.abs().sum() > 0


@pytest.mark.parametrize("spec", [AdaptiveGate(), SkipGate(), SkipGate(recurrent=False)], ids=str)
def test_decisions(spec) -> None:
    gates = spec.build((4, 6))
    maps, state = [torch.randn(32, 4, 5, 5), torch.randn(32, 6, 3, 3)], None
    for mode in (True, False):
        gates.train(mode)
        for i, x in enumerate(maps):
            keep, state = gates(x, i, state)
            assert keep.shape == (32,) and set(keep.unique().tolist()) <= {0.0, 1.0}
        state = None
    gates.train()
    keep, state = gates(maps[0], 0, None)
    (gates(maps[1], 1, state)[0].sum() + keep.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in gates.parameters())


def test_gates_begin_open() -> None:
    x = torch.randn(500, 4, 5, 5) * 0.1
    assert AdaptiveGate().build((4,))(x, 0)[0].mean() > 0.8
    assert SkipGate().build((4,))(x, 0)[0].mean() > 0.8


def test_a_recurrent_gate_remembers() -> None:
    gates = SkipGate().build((4, 4))
    nn.init.normal_(gates.cell.weight_hh)
    x = torch.randn(8, 4, 3, 3)
    _, state = gates(x, 0)
    assert not torch.equal(gates(x, 1, state)[1][0], gates(x, 1, None)[1][0])
