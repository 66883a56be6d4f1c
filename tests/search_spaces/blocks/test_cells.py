"""Cells: parameters by formula, and the contract of their layers."""

import pytest
import torch

from search_spaces.blocks.cells import Cell, Gru, Lstm
from search_spaces.cost import network_cost
from search_spaces.spec import kinds


@pytest.mark.parametrize(("cell", "gates"), [(Lstm(), 4), (Gru(), 3)], ids=["lstm", "gru"])
def test_parameters_and_multiply_adds(cell, gates):
    layer = cell.build(5, 7)
    assert sum(p.numel() for p in layer.parameters()) == gates * (7 * (5 + 7) + 2 * 7)
    layer.forward = lambda x, run=layer.forward: run(x, None)[0]  # the counter calls it with the input alone
    assert network_cost(layer, (9, 5)).macs == 9 * gates * 7 * (5 + 7)
    own = cell.cost(7)
    assert (own.params, own.macs) == (gates * (7 * 14 + 2 * 7), gates * 7 * 14)


@pytest.mark.parametrize("kind", kinds(Cell).values(), ids=kinds(Cell))
def test_a_sequence_in_two_parts_gives_what_it_gives_whole(kind):
    cell = kind()
    layer, x = cell.build(5, 6), torch.randn(3, 8, 5)
    whole, last = layer(x, None)
    first, state = layer(x[:, :3], None)
    second, end = layer(x[:, 3:], state)
    assert whole.shape == (3, 8, 6)
    assert torch.allclose(torch.cat([first, second], dim=1), whole, atol=1e-6)
    assert len(state) == cell.states and all(part.shape == (3, 6) for part in state)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(last, end, strict=True))
    assert torch.equal(last[0], whole[:, -1])
