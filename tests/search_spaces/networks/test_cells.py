"""The layers of cells: torch's own, with one form of state."""

import torch

from search_spaces.networks.cells import GruLayer, LstmLayer


def test_they_are_torchs_layers():
    x, h, c = torch.randn(2, 5, 3), torch.randn(2, 4), torch.randn(2, 4)
    lstm, gru = LstmLayer(3, 4), GruLayer(3, 4)
    out, state = lstm(x, (h, c))
    expected, (last_h, last_c) = lstm.lstm(x, (h[None], c[None]))
    assert torch.equal(out, expected) and torch.equal(state[0], last_h[0]) and torch.equal(state[1], last_c[0])
    out, state = gru(x, (h,))
    expected, last = gru.gru(x, h[None])
    assert torch.equal(out, expected) and torch.equal(state[0], last[0])


def test_names_of_weights():
    parts = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    assert list(LstmLayer(3, 4).state_dict()) == [f"lstm.{part}" for part in parts]
    assert list(GruLayer(3, 4).state_dict()) == [f"gru.{part}" for part in parts]
