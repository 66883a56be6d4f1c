"""Blends of images and labels; draws come from torch's global generators."""

from __future__ import annotations

import torch

from search_spaces.recipe import Mixup
from trainers.tricks.batch import Batch
from trainers.tricks.registry import implements


@implements(Mixup)
def mixup(spec: Mixup, batch: Batch) -> Batch:
    """Blends every image and target with those of another row; one share and one permutation a batch.

    Args:
        spec: How even the blend is.
        batch: Its targets are (N, K).
    """
    # Drawn on the CPU, so that reading it does not wait for the device.
    alpha = torch.tensor(spec.alpha, dtype=torch.float64)
    share = torch.distributions.Beta(alpha, alpha, validate_args=False).sample().item()
    other = torch.randperm(len(batch.images), device=batch.images.device)
    return Batch(
        images=torch.lerp(batch.images[other], batch.images, share),
        labels=batch.labels,
        targets=torch.lerp(batch.targets[other], batch.targets, share),
    )
