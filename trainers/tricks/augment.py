"""Crop, flip and cutout of a whole batch at once; draws come from torch's global generator."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.recipe import Crop, Cutout, Flip
from trainers.tricks.batch import Batch
from trainers.tricks.registry import implements


@implements(Crop)
def crop(spec: Crop, batch: Batch) -> Batch:
    """Cuts every image out of itself, padded with zeros (the mean), at its own place."""
    n, channels, height, width = batch.images.shape
    pad_y, pad_x = round(spec.padding * height), round(spec.padding * width)
    if not (pad_y or pad_x):
        return batch
    device = batch.images.device
    padded = F.pad(batch.images, (pad_x, pad_x, pad_y, pad_y))
    rows = torch.randint(0, 2 * pad_y + 1, (n, 1), device=device) + torch.arange(height, device=device)
    columns = torch.randint(0, 2 * pad_x + 1, (n, 1), device=device) + torch.arange(width, device=device)
    places = rows.unsqueeze(2) * (width + 2 * pad_x) + columns.unsqueeze(1)
    places = places.view(n, 1, height * width).expand(n, channels, -1)
    return replace(batch, images=padded.flatten(2).gather(2, places).view_as(batch.images))


@implements(Flip)
def flip(spec: Flip, batch: Batch) -> Batch:
    """Mirrors some images left to right."""
    chosen = torch.rand(len(batch.images), 1, 1, 1, device=batch.images.device) < spec.p
    return replace(batch, images=torch.where(chosen, batch.images.flip(-1), batch.images))


@implements(Cutout)
def cutout(spec: Cutout, batch: Batch) -> Batch:
    """Sets squares of every image to zero (the mean)."""
    height, width = batch.images.shape[2:]
    outside_y = _outside(batch.images, height, spec)
    outside_x = _outside(batch.images, width, spec)
    keep = (outside_y.unsqueeze(3) | outside_x.unsqueeze(2)).all(dim=1, keepdim=True)
    return replace(batch, images=batch.images * keep)


def _outside(images: Tensor, side: int, spec: Cutout) -> Tensor:
    """Whether each position along a side lies outside each hole, (N, holes, side)."""
    length = round(spec.length * side)
    centre = torch.randint(0, side, (len(images), spec.holes, 1), device=images.device)
    offset = torch.arange(side, device=images.device) - (centre - length // 2)
    return (offset < 0) | (offset >= length)
