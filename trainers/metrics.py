"""Figures that tell how good predictions are."""

from __future__ import annotations

from torch import Tensor


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the share of rows whose largest logit is that of their label, a scalar on the same device.

    Args:
        logits: (N, K).
        labels: (N,).
    """
    return (logits.argmax(1) == labels).float().mean()
