"""What augmentations and mixes change."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """One batch on its way to the network.

    Args:
        images: (N, C, H, W), normalised.
        labels: (N,) classes, which stay as they are.
        targets: (N, K) probabilities, or the labels where nothing softens them.
    """

    images: Tensor
    labels: Tensor
    targets: Tensor
