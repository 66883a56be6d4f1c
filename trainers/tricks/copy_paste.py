"""Copies of small objects, pasted where nothing is; draws come from torch's global generator."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from search_spaces.recipe import CopyPaste
from trainers.data.pictures import PADDED
from trainers.tricks.batch import Batch
from trainers.tricks.registry import implements
from trainers.tricks.warp import area, move_boxes, turn, warp

_TRIES = 30


@implements(CopyPaste)
def copy_paste(spec: CopyPaste, batch: Batch) -> Batch:
    """Pastes a small object of every image that has one, at the first of up to 30 places that is free.

    Paper: Kisantal et al., 2019, 1902.07296, section 4.2.
    """
    picked, found = _small(spec, batch)
    for _ in range(spec.copies):
        batch = _pasted(spec, batch, picked, found)
    return batch


def _small(spec: CopyPaste, batch: Batch) -> tuple[Tensor, Tensor]:
    """A random small object of each image, (N,), and whether there is one, (N,)."""
    assert batch.boxes is not None and batch.classes is not None
    height, width = batch.images.shape[2:]
    small = (batch.classes != PADDED) & (area(batch.boxes) < spec.small**2 * height * width)
    draws = torch.rand(small.shape, device=small.device) * small
    return draws.argmax(1), small.any(1)


def _pasted(spec: CopyPaste, batch: Batch, picked: Tensor, found: Tensor) -> Batch:
    """One copy of the picked objects where it fits; the object goes to a further place of every image."""
    assert batch.boxes is not None and batch.classes is not None
    n = len(batch.images)
    every = torch.arange(n, device=batch.images.device)
    box = batch.boxes[every, picked]
    scale, degrees = (_around(middle, spread, box) for middle, spread in ((1.0, spec.scale), (0.0, spec.degrees)))
    places, free = _free_places(batch, box, scale, degrees)
    mask = _mask(batch, picked, box)
    source = replace(batch, instances=mask.long(), masks=None, boxes=None)
    copy = warp(source, places)
    assert copy.instances is not None
    covered = (copy.instances > 0) & (free & found).view(n, 1, 1)
    if batch.instances is not None:
        covered &= batch.instances == 0
    pasted = covered.flatten(1).any(1)
    number = batch.boxes.shape[1]
    new_class = torch.where(pasted, batch.classes[every, picked], PADDED)
    weights = batch.weights
    return replace(
        batch,
        images=torch.where(covered.unsqueeze(1), copy.images, batch.images),
        instances=None if batch.instances is None else torch.where(covered, number + 1, batch.instances),
        boxes=torch.cat([batch.boxes, (_extent(covered) * pasted.unsqueeze(1)).unsqueeze(1)], 1),
        classes=torch.cat([batch.classes, new_class.unsqueeze(1)], 1),
        weights=None if weights is None else torch.cat([weights, weights[every, picked].unsqueeze(1)], 1),
    )


def _free_places(batch: Batch, box: Tensor, scale: Tensor, degrees: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 3, 3) maps to places within the image that no object's box overlaps, and whether one was found, (N,)."""
    assert batch.boxes is not None
    n = len(box)
    height, width = batch.images.shape[2:]
    x, y = (box[:, 0] + box[:, 2]) / 2, (box[:, 1] + box[:, 3]) / 2
    places = turn(degrees, x, y, scale)
    around = move_boxes(box.unsqueeze(1), places)  # (N, 1, 4): where it would lie if it stayed
    sides = around[..., 2:] - around[..., :2]
    room = box.new_tensor([width, height]) - sides
    corner = torch.rand(n, _TRIES, 2, device=box.device) * room
    tried = torch.cat([corner, corner + sides], 2)
    low = torch.maximum(tried.unsqueeze(2)[..., :2], batch.boxes.unsqueeze(1)[..., :2])
    high = torch.minimum(tried.unsqueeze(2)[..., 2:], batch.boxes.unsqueeze(1)[..., 2:])
    free = ~(high > low).all(3).any(2) & (room >= 0).all(2)
    first = free.float().argmax(1)
    shift = corner[torch.arange(n, device=box.device), first] - around[:, 0, :2]
    places = places.clone()
    places[:, :2, 2] += shift
    return places, free.any(1)


def _mask(batch: Batch, picked: Tensor, box: Tensor) -> Tensor:
    """Which pixels show the picked object, (N, H, W); those of its box where the data do not say."""
    if batch.instances is not None:
        return batch.instances == (picked + 1).view(-1, 1, 1)
    height, width = batch.images.shape[2:]
    y, x = (torch.arange(side, device=box.device) + 0.5 for side in (height, width))
    rows = (y > box[:, 1:2]) & (y < box[:, 3:4])
    columns = (x > box[:, 0:1]) & (x < box[:, 2:3])
    return rows.unsqueeze(2) & columns.unsqueeze(1)


def _extent(covered: Tensor) -> Tensor:
    """The boxes around the pixels of (N, H, W) masks, (N, 4)."""
    edges = []
    for lines in (covered.any(1), covered.any(2)):
        line = lines.float()
        edges.append((line.argmax(1), line.shape[1] - line.flip(1).argmax(1)))
    (left, right), (top, bottom) = edges
    return torch.stack([left, top, right, bottom], 1).float()


def _around(middle: float, spread: float, like: Tensor) -> Tensor:
    return middle + spread * (2 * torch.rand(len(like), device=like.device) - 1)
