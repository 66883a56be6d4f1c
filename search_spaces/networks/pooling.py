"""The modules of `search_spaces.blocks.pooling`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.layers import MatMul

if TYPE_CHECKING:
    from search_spaces.blocks.pooling import AttentionalPooling, BilinearPooling, FactorisedBilinear


class AverageModule(nn.Module):
    """The average of the coarsest map."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the averages (N, C) of the last of the maps (N, C_i, H_i, W_i)."""
        return maps[-1].mean((2, 3))


class MaxModule(nn.Module):
    """The greatest values of the coarsest map."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the greatest values (N, C) of the last of the maps (N, C_i, H_i, W_i)."""
        return maps[-1].amax((2, 3))


class AverageMaxModule(nn.Module):
    """The averages and the greatest values of the coarsest map."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns both (N, 2C) of the last of the maps (N, C_i, H_i, W_i)."""
        return torch.cat([maps[-1].mean((2, 3)), maps[-1].amax((2, 3))], dim=1)


class BilinearModule(nn.Module):
    """Outer products, summed over positions."""

    def __init__(self, spec: BilinearPooling, channels: int) -> None:
        super().__init__()
        self.normalize = spec.normalize
        self.second = None if spec.second is None else nn.Conv2d(channels, spec.second, 1, bias=False)
        self.product = MatMul()

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the products (N, C * second) of the last of the maps (N, C_i, H_i, W_i)."""
        x = maps[-1]
        y = x if self.second is None else self.second(x)
        z: Tensor = self.product(x.flatten(2), y.flatten(2).transpose(1, 2)).flatten(1)
        if not self.normalize:
            return z
        # The square root has no slope at 0, where a dead channel would give one that is not finite.
        root = z.sign() * ((z.abs() + 1e-12).sqrt() - 1e-6)
        return F.normalize(root, dim=1)


class FactorisedBilinearModule(nn.Module):
    """A linear layer and squared lengths of projections, whole factors of which are dropped in training."""

    def __init__(self, spec: FactorisedBilinear, inputs: int, outputs: int) -> None:
        super().__init__()
        self.rank, self.outputs, self.keep = spec.rank, outputs, spec.keep
        self.linear = nn.Linear(inputs, outputs)
        self.factors = nn.Linear(inputs, outputs * spec.rank, bias=False)
        nn.init.normal_(self.factors.weight, std=0.1 * inputs**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the logits (N, outputs) of vectors (N, inputs)."""
        squares = self.factors(x).unflatten(1, (self.outputs, self.rank)).square()
        if self.training and self.keep < 1:
            kept = torch.empty(self.rank, device=x.device).bernoulli_(self.keep) / self.keep
            squares = squares * kept
        out: Tensor = self.linear(x) + squares.sum(2)
        return out


class AttentionalPoolingModule(nn.Module):
    """Bottom-up and top-down maps, multiplied and summed over positions."""

    def __init__(self, spec: AttentionalPooling, channels: int, outputs: int) -> None:
        super().__init__()
        self.rank, self.outputs = spec.rank, outputs
        self.where = nn.Conv2d(channels, spec.rank, 1, bias=False)
        self.what = nn.Conv2d(channels, spec.rank * outputs, 1, bias=False)
        nn.init.normal_(self.what.weight, std=channels**-0.5)
        # Begins as the average over positions of a linear classifier, as far as the channels allow.
        nn.init.constant_(self.where.weight, 1 / channels)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the scores (N, outputs) of the last of the maps (N, C_i, H_i, W_i)."""
        where = self.where(maps[-1]).flatten(2)
        what = self.what(maps[-1]).flatten(2).unflatten(1, (self.rank, self.outputs))
        out: Tensor = (where.unsqueeze(2) * what).mean(3).sum(1)
        return out
