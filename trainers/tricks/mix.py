"""Blends of images and labels; draws come from torch's global generators."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.recipe import DetectionMixup, Mixup, Ricap
from trainers.data.pictures import PADDED
from trainers.tricks.batch import Batch
from trainers.tricks.registry import implements


@implements(Mixup)
def mixup(spec: Mixup, batch: Batch) -> Batch:
    """Blends every image and target with those of another row; one share and one permutation a batch.

    Args:
        spec: How even the blend is.
        batch: Its targets are (N, K).
    """
    if batch.progress >= spec.until:
        return batch
    share = _beta(spec.alpha).item()
    return blend(batch, torch.randperm(len(batch.images), device=batch.images.device), share)


def blend(batch: Batch, other: Tensor, share: float) -> Batch:
    """Blends every image and target with those of another row.

    Args:
        batch: Its targets are (N, K).
        other: (N,) the other rows.
        share: lambda, the share of an image's own row.

    Paper: Zhang et al., 2018, 1710.09412, equation 1.
    """
    assert batch.targets is not None
    return replace(
        batch,
        images=torch.lerp(batch.images[other], batch.images, share),
        targets=torch.lerp(batch.targets[other], batch.targets, share),
    )


@implements(Ricap)
def ricap(spec: Ricap, batch: Batch) -> Batch:
    """Patches every image together of crops of four rows; targets are weighted by the crops' areas.

    Args:
        spec: Where the crops meet.
        batch: Its targets are (N, K).

    Paper: Takahashi et al., 2018, 1811.09030, section 3.
    """
    if batch.progress >= spec.until:
        return batch
    height, width = batch.images.shape[2:]
    x, y = (round(side * _beta(spec.beta).item()) for side in (width, height))
    return patch(batch, x, y)


def patch(batch: Batch, x: int, y: int) -> Batch:
    """Patches every image together of crops of four rows that meet at a point.

    Args:
        batch: Its targets are (N, K).
        x: Columns left of the point.
        y: Rows above the point.
    """
    assert batch.targets is not None
    height, width = batch.images.shape[2:]
    device = batch.images.device
    rows, targets = [], torch.zeros_like(batch.targets)
    for high in (y, height - y):
        row = []
        for wide in (x, width - x):
            other = torch.randperm(len(batch.images), device=device)
            top, left = (int(torch.randint(0, room + 1, ())) for room in (height - high, width - wide))
            row.append(batch.images[other, :, top : top + high, left : left + wide])
            targets += high * wide / (height * width) * batch.targets[other]
        rows.append(torch.cat(row, 3))
    return replace(batch, images=torch.cat(rows, 2), targets=targets)


@implements(DetectionMixup)
def detection_mixup(spec: DetectionMixup, batch: Batch) -> Batch:
    """Blends every image with that of another row; it has the objects of both, weighted by their shares.

    Paper: Zhang et al., 2019, 1902.04103, section 3.1.
    """
    if batch.progress >= spec.until:
        return batch
    n = len(batch.images)
    other = torch.randperm(n, device=batch.images.device)
    share = _beta(spec.alpha, n).float().to(batch.images.device)
    chosen = {
        name: None if (value := getattr(batch, name)) is None else value[other]
        for name in ("images", "boxes", "classes", "weights")
    }
    return union(batch, replace(batch, **chosen), share)  # type: ignore[arg-type]


def union(first: Batch, second: Batch, share: Tensor) -> Batch:
    """Blends the images of two batches on canvases that hold both, and joins their objects.

    Args:
        first: N images with boxes.
        second: As many, of any size.
        share: (N,) weights of the first.
    """
    height, width = (max(first.images.shape[dim], second.images.shape[dim]) for dim in (2, 3))
    canvases, weights = [], []
    for batch, part in ((first, share), (second, 1 - share)):
        assert batch.boxes is not None and batch.classes is not None
        room = (0, width - batch.images.shape[3], 0, height - batch.images.shape[2])
        canvases.append(F.pad(batch.images, room) * part.view(-1, 1, 1, 1))
        own = torch.ones_like(batch.boxes[..., 0]) if batch.weights is None else batch.weights
        weights.append(own * part.unsqueeze(1) * (batch.classes != PADDED))
    return replace(
        first,
        images=canvases[0] + canvases[1],
        boxes=torch.cat([first.boxes, second.boxes], 1),  # type: ignore[list-item]
        classes=torch.cat([first.classes, second.classes], 1),  # type: ignore[list-item]
        weights=torch.cat(weights, 1),
        instances=None,
    )


def _beta(shape: float, count: int | None = None) -> Tensor:
    """Draws from Beta(shape, shape), on the CPU, so that reading it does not wait for the device."""
    parameter = torch.tensor(shape, dtype=torch.float64)
    distribution = torch.distributions.Beta(parameter, parameter, validate_args=False)
    return distribution.sample(() if count is None else (count,))
