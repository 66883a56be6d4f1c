"""The layers of `search_spaces.blocks.cells`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]


class LstmLayer(nn.Module):
    """A layer of `nn.LSTM` (`lstm`) with the state of a `Cell`."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Returns the outputs (N, T, hidden) for `x` (N, T, inputs), and the state (h, c)."""
        before = None if state is None else (state[0][None], state[1][None])
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # Some processors have no LSTM in bfloat16 and raise; in float32 all of them have one.
            with torch.autocast("cpu", enabled=False):
                out, (h, c) = self.lstm(x.float(), None if before is None else (before[0].float(), before[1].float()))
        else:
            out, (h, c) = self.lstm(x, before)
        return out, (h[0], c[0])


class GruLayer(nn.Module):
    """A layer of `nn.GRU` (`gru`) with the state of a `Cell`."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, hidden, batch_first=True)

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Returns the outputs (N, T, hidden) for `x` (N, T, inputs), and the state (h,)."""
        out, h = self.gru(x, None if state is None else state[0][None])
        return out, (h[0],)
