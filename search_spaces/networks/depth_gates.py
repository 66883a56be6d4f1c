"""The modules of `search_spaces.blocks.depth_gates`, and rounding that lets gradients through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from search_spaces.blocks.depth_gates import AdaptiveGate, SkipGate

State = tuple[Tensor, Tensor] | None


def rounded(p: Tensor, threshold: float = 0.5) -> Tensor:
    """Returns 1 where `p` exceeds the threshold and 0 elsewhere, with the gradient of `p`.

    Args:
        p: Any numbers.
        threshold: The greatest that becomes 0.

    Paper: Bengio et al., 2013, arXiv 1308.3432, section 4 (straight-through).
    """
    return p + ((p > threshold).to(p.dtype) - p).detach()


class AdaptiveGates(nn.Module):
    """One gate a unit: average, two layers, a choice of two."""

    def __init__(self, spec: AdaptiveGate, channels: Sequence[int]) -> None:
        super().__init__()
        self.temperature = spec.temperature
        self.gates = nn.ModuleList(
            nn.Sequential(nn.Linear(c, spec.hidden), nn.ReLU(inplace=True), nn.Linear(spec.hidden, 2)) for c in channels
        )
        for gate in self.gates:
            # Units are open to begin with, so that all of them learn.
            last: nn.Linear = gate[2]  # type: ignore[index]
            nn.init.constant_(last.bias[1], 2.0)

    def forward(self, x: Tensor, i: int, state: State = None) -> tuple[Tensor, State]:
        """Returns whether each example goes through unit i, (N,), for its input (N, C_i, H, W)."""
        logits = self.gates[i](x.mean((2, 3)))
        if not self.training:
            return (logits[:, 1] > logits[:, 0]).to(x.dtype), None
        return F.gumbel_softmax(logits, self.temperature, hard=True)[:, 1], None


class SkipGates(nn.Module):
    """A projection a unit, and one cell or one decision each."""

    def __init__(self, spec: SkipGate, channels: Sequence[int]) -> None:
        super().__init__()
        size = spec.hidden
        self.project = nn.ModuleList(nn.Linear(c, size) for c in channels)
        self.cell = nn.LSTMCell(size, size) if spec.recurrent else None
        decisions = 1 if spec.recurrent else len(channels)
        self.decide = nn.ModuleList(nn.Linear(size, 1) for _ in range(decisions))
        for layer in self.decide:
            nn.init.constant_(layer.bias, 2.0)  # type: ignore[arg-type]

    def forward(self, x: Tensor, i: int, state: State = None) -> tuple[Tensor, State]:
        """Returns whether each example goes through unit i, (N,), for its input (N, C_i, H, W), and the next state."""
        given = torch.relu(self.project[i](x.mean((2, 3))))
        if self.cell is not None:
            state = self.cell(given, state)
            given = state[0]
        decide = self.decide[0 if self.cell is not None else i]
        return rounded(torch.sigmoid(decide(given)).squeeze(1)), state
