"""Losses of gates, and the multiply-adds that gated networks take on average."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from search_spaces.recipe.gates import SkipPenalty, TargetRate
from trainers.tricks.registry import implements


@implements(TargetRate)
def target_rate(spec: TargetRate, opened: Tensor, macs: Sequence[int]) -> Tensor:
    """Returns the scalar loss.

    Args:
        spec: The target.
        opened: Which gates were open, (N, gates) of 0 and 1.
        macs: Multiply-adds of each gate's unit.
    """
    return spec.weight * (spec.rate - opened.float().mean(0)).square().mean()


@implements(SkipPenalty)
def skip_penalty(spec: SkipPenalty, opened: Tensor, macs: Sequence[int]) -> Tensor:
    """Returns the scalar loss; arguments as for `target_rate`."""
    shares = torch.tensor(macs, dtype=torch.float32, device=opened.device)
    return spec.weight * (opened.float() * (shares / shares.sum())).sum(1).mean()


def expected_macs(whole: int, macs: Sequence[int], rates: Sequence[float]) -> float:
    """Returns the multiply-adds that an example takes on average.

    Args:
        whole: Those of the network with all gates open.
        macs: Those of each gate's unit.
        rates: Share of the examples for which each gate is open.
    """
    return whole - sum((1 - rate) * count for rate, count in zip(rates, macs, strict=True))
