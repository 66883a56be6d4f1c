"""Augmentation policies of kornia, an operation an image; draws come from torch's global generator."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from search_spaces.recipe import AutoAugment, RandAugment, TrivialAugment
from trainers.tricks.augment import channels
from trainers.tricks.batch import Batch
from trainers.tricks.registry import implements
from trainers.tricks.warp import warp

_STRONGEST = 30 - 1e-3  # of a scale up to 30, whose end kornia refuses
Operations = tuple[Callable[[Tensor], Tensor], ...]


@implements(AutoAugment)
def auto_augment(spec: AutoAugment, batch: Batch) -> Batch:
    """Changes every image by one of the policy's 25 pairs of operations.

    Paper: Cubuk et al., 2019, 1805.09501, appendix A.
    """
    return _applied(_auto(spec.policy), 1, batch)


@implements(RandAugment)
def rand_augment(spec: RandAugment, batch: Batch) -> Batch:
    """Changes every image by some different operations.

    Paper: Cubuk et al., 2020, 1909.13719, section 3.
    """
    return _applied(_rand(min(spec.magnitude, _STRONGEST)), spec.operations, batch)


@implements(TrivialAugment)
def trivial_augment(spec: TrivialAugment, batch: Batch) -> Batch:
    """Changes every image by one operation of a random strength.

    Paper: Mueller and Hutter, 2021, 2103.10158, section 3.
    """
    return _applied(_trivial(), 1, batch)


@functools.cache
def _auto(name: str) -> Operations:
    from kornia.augmentation.auto import AutoAugment as Kornia
    from kornia.augmentation.auto.autoaugment import autoaugment

    policy = getattr(autoaugment, f"{name}_policy")
    return tuple(Kornia(policy=[pair]) for pair in policy)


@functools.cache
def _rand(magnitude: float) -> Operations:
    from kornia.augmentation.auto import RandAugment as Kornia
    from kornia.augmentation.auto.rand_augment.rand_augment import default_policy

    return tuple(Kornia(n=1, m=magnitude, policy=[operation]) for operation in default_policy)  # type: ignore[arg-type]


@functools.cache
def _trivial() -> Operations:
    from kornia.augmentation.auto import TrivialAugment as Kornia
    from kornia.augmentation.auto.trivial_augment.trivial_augment import default_policy

    return tuple(Kornia(policy=[operation]) for operation in default_policy)


@torch.no_grad()
def _applied(operations: Operations, count: int, batch: Batch) -> Batch:
    """Applies `count` different operations, drawn an image, to images in [0, 1]; masks and boxes move along.

    Raises:
        ValueError: The images have neither one nor three channels.
    """
    n, bands = batch.images.shape[:2]
    if bands not in (1, 3):
        raise ValueError(f"augmentation policies need 1 or 3 channels; got {bands}; set auto to null")
    mean, std = channels(batch)
    images = (batch.images * std + mean).clamp(0, 1).expand(-1, 3, -1, -1)
    # Drawn on the CPU, so that grouping does not wait for the device.
    chosen = torch.rand(n, len(operations)).argsort(1)[:, :count]
    places = torch.eye(3, device=images.device).repeat(n, 1, 1)
    for column in chosen.unbind(1):
        found = torch.empty_like(images)
        for number, operation in enumerate(operations):
            if len(rows := (column == number).nonzero().flatten().to(images.device)):
                found[rows] = operation(images[rows])
                matrix: Tensor | None = operation.transform_matrix  # type: ignore[attr-defined]
                if matrix is not None:
                    places[rows] = matrix.to(places) @ places[rows]
        images = found
    images = images if bands == 3 else images.mean(1, keepdim=True)
    return _moved(replace(batch, images=(images - mean) / std), batch, places)


def _moved(changed: Batch, batch: Batch, places: Tensor) -> Batch:
    """Moves masks and boxes as kornia moved the images, whose pixels it counts from the centre of the first."""
    if batch.masks is None and batch.boxes is None:
        return changed
    half = torch.eye(3, device=places.device)
    half[:2, 2] = 0.5
    moved = warp(batch, half @ places @ half.inverse())
    return replace(moved, images=changed.images)
