"""Crops, zooms, mirror images and rotations of whole batches; draws come from torch's global generator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.recipe import Crop, Flip, IouCrop, MultiScale, ResizedCrop, ResolutionStages, Rotation, ZoomOut
from trainers.data.pictures import IGNORE, PADDED
from trainers.tricks.batch import Batch
from trainers.tricks.registry import implements
from trainers.tricks.warp import affine, area, clipped, turn, warp, window

_TRIES = 40


@implements(Crop)
def crop(spec: Crop, batch: Batch) -> Batch:
    """Cuts every image out of itself, padded with zeros (the mean; masks: ignored), at its own place."""
    n, _, height, width = batch.images.shape
    pad_y, pad_x = round(spec.padding * height), round(spec.padding * width)
    if not (pad_y or pad_x):
        return batch
    device = batch.images.device
    top = torch.randint(0, 2 * pad_y + 1, (n, 1), device=device)
    left = torch.randint(0, 2 * pad_x + 1, (n, 1), device=device)
    rows, columns = top + torch.arange(height, device=device), left + torch.arange(width, device=device)
    places = (rows.unsqueeze(2) * (width + 2 * pad_x) + columns.unsqueeze(1)).view(n, 1, -1)
    padding = (pad_x, pad_x, pad_y, pad_y)

    def cut(maps: Tensor, fill: int = 0) -> Tensor:
        padded = F.pad(maps, padding, value=fill).flatten(2)
        return padded.gather(2, places.expand(n, padded.shape[1], -1)).view_as(maps)

    masks, instances = batch.masks, batch.instances
    moved = replace(
        batch,
        images=cut(batch.images),
        masks=None if masks is None else cut(masks.unsqueeze(1), IGNORE).squeeze(1),
        instances=None if instances is None else cut(instances.unsqueeze(1)).squeeze(1),
    )
    if batch.boxes is None:
        return moved
    shift = torch.cat([pad_x - left, pad_y - top], 1).repeat(1, 2).unsqueeze(1)
    return clipped(replace(moved, boxes=batch.boxes + shift))


@implements(ResizedCrop)
def resized_crop(spec: ResizedCrop, batch: Batch) -> Batch:
    """Scales a window of every image up to its size.

    Paper: Szegedy et al., 2015, 1409.4842, section 6.
    Deviation: A window that a draw of shape makes larger than the image is cut to it, where others draw again.
    """
    if spec.smallest == spec.largest == spec.aspect == 1:
        return batch
    n, _, height, width = batch.images.shape
    share = _uniform(n, spec.smallest, spec.largest, batch.images)
    stretch = _log_uniform(n, spec.aspect, batch.images).sqrt()
    wide, high = ((share.sqrt() * side).clamp(max=1) for side in (stretch, 1 / stretch))
    left, top = (_uniform(n, 0, 1, batch.images) * (1 - side) for side in (wide, high))
    places = window(left * width, top * height, wide * width, high * height, width, height)
    return warp(batch, places, border=True)


@implements(IouCrop)
def iou_crop(spec: IouCrop, batch: Batch) -> Batch:
    """Scales a window that covers an object well enough up to the image's size.

    Paper: Liu et al., 2016, 1512.02325, section 2.2; sides in ratios from 1/2 to 2, at most 40 windows an image.
    """
    assert batch.boxes is not None and batch.classes is not None
    n, _, height, width = batch.images.shape
    like, sizes = batch.images, batch.images.new_tensor([width, height])
    chosen = torch.randint(0, len(spec.overlaps) + 1, (n,), device=like.device)
    # One more choice than there are overlaps: the whole image, which no window meets.
    least = like.new_tensor([*spec.overlaps, torch.inf])[chosen]
    share = _uniform((n, _TRIES, 2), spec.smallest, 1, like)
    corner = torch.rand(n, _TRIES, 2, device=like.device) * (1 - share)
    windows = torch.cat([corner * sizes, (corner + share) * sizes], 2)
    inside = _centres_inside(batch, windows)
    overlap = torch.where(inside, _iou(windows, batch.boxes), -1).amax(2)
    ratio = share[..., 0] / share[..., 1]
    good = (overlap >= least.unsqueeze(1)) & (overlap >= 0) & (ratio >= 0.5) & (ratio <= 2)
    found, first = good.any(1), good.float().argmax(1)
    picked = windows[torch.arange(n, device=like.device), first]
    wide, high = picked[:, 2] - picked[:, 0], picked[:, 3] - picked[:, 1]
    places = window(picked[:, 0], picked[:, 1], wide, high, width, height)
    kept = inside[torch.arange(n, device=like.device), first]
    return where(found, warp(batch, places, border=True, kept=kept), batch)


@implements(ZoomOut)
def zoom_out(spec: ZoomOut, batch: Batch) -> Batch:
    """Puts some images at a random place of a larger canvas (the mean; masks: ignored), scaled to the old size.

    Paper: Liu et al., 2016, 1512.02325, section 3.6.
    """
    if spec.p == 0 or spec.largest == 1:
        return batch
    n, _, height, width = batch.images.shape
    chosen = torch.rand(n, device=batch.images.device) < spec.p
    scale = 1 / _uniform(n, 1, spec.largest, batch.images)
    x, y = (_uniform(n, 0, 1, batch.images) * (1 - scale) * side for side in (width, height))
    return where(chosen, warp(batch, affine(scale, scale, x, y)), batch)


@implements(Flip)
def flip(spec: Flip, batch: Batch) -> Batch:
    """Mirrors some images left to right."""
    chosen = torch.rand(len(batch.images), 1, 1, 1, device=batch.images.device) < spec.p
    boxes = batch.boxes
    if boxes is not None and batch.classes is not None:
        width = batch.images.shape[3]
        boxes = torch.stack([width - boxes[..., 2], boxes[..., 1], width - boxes[..., 0], boxes[..., 3]], 2)
        boxes = boxes * (batch.classes != PADDED).unsqueeze(2)
    mirrored = replace(
        batch,
        images=batch.images.flip(-1),
        masks=None if batch.masks is None else batch.masks.flip(-1),
        instances=None if batch.instances is None else batch.instances.flip(-1),
        boxes=boxes,
    )
    return where(chosen.flatten(), mirrored, batch)


@implements(Rotation)
def rotation(spec: Rotation, batch: Batch) -> Batch:
    """Turns every image by its own angle."""
    if spec.degrees == 0:
        return batch
    return rotate(batch, _uniform(len(batch.images), -spec.degrees, spec.degrees, batch.images))


def rotate(batch: Batch, degrees: Tensor) -> Batch:
    """Turns images about their centres; what comes from outside is the mean (masks: ignored).

    Args:
        batch: Images and what is known of them.
        degrees: (N,) counterclockwise.
    """
    height, width = batch.images.shape[2:]
    x, y = torch.full_like(degrees, width / 2), torch.full_like(degrees, height / 2)
    return warp(batch, turn(degrees, x, y))


@implements(MultiScale)
def multi_scale(spec: MultiScale, batch: Batch) -> Batch:
    """Scales a batch to the size whose turn it is; the size is a function of seed and step, so that nothing is saved.

    Paper: Zhang et al., 2019, 1902.04103, section 3.6.
    """
    height, width = batch.images.shape[2:]
    options = sizes(spec, max(height, width))
    turn_number = batch.step // spec.every
    longest = options[int(np.random.default_rng([batch.seed, turn_number]).integers(len(options)))]
    shortest = max(1, round(longest * min(height, width) / max(height, width)))
    return resize(batch, (longest, shortest) if height >= width else (shortest, longest))


def sizes(spec: MultiScale, side: int) -> list[int]:
    """Returns the sizes that images are scaled to, in pixels.

    Args:
        spec: Their range.
        side: Of the images, in pixels.
    """
    multiple, found = spec.multiple, list[int]()
    while len(found) < 2 and multiple >= 1:
        low, high = -(-round(spec.smallest * side, 6) // multiple), round(spec.largest * side, 6) // multiple
        found = [multiple * k for k in range(max(1, int(low)), int(high) + 1)]
        multiple //= 2
    return found or [side]


@implements(ResolutionStages)
def resolution_stages(spec: ResolutionStages, batch: Batch) -> Batch:
    """Takes from images the detail that their stage does not have; their size, and so boxes and masks, stay.

    Paper: Singh and Davis, 2018, 1711.08189, section 3 (low-resolution images scaled up).
    """
    share = spec.shares[min(int(batch.progress * len(spec.shares)), len(spec.shares) - 1)]
    height, width = batch.images.shape[2:]
    small = max(1, round(share * height)), max(1, round(share * width))
    if small == (height, width):
        return batch
    poor = F.interpolate(batch.images, small, mode="bilinear", antialias=True)
    return replace(batch, images=F.interpolate(poor, (height, width), mode="bilinear"))


def resize(batch: Batch, size: tuple[int, int]) -> Batch:
    """Scales images and all that is known of them.

    Args:
        batch: Images (N, C, h, w) and what is known of them.
        size: (H, W).
    """
    height, width = batch.images.shape[2:]
    if size == (height, width):
        return batch
    boxes = batch.boxes
    if boxes is not None:
        boxes = boxes * boxes.new_tensor([size[1] / width, size[0] / height] * 2)
    return replace(
        batch,
        images=F.interpolate(batch.images, size, mode="bilinear", antialias=True),
        masks=None if batch.masks is None else _resize_nearest(batch.masks, size),
        instances=None if batch.instances is None else _resize_nearest(batch.instances, size),
        boxes=boxes,
    )


def where(chosen: Tensor, changed: Batch, batch: Batch) -> Batch:
    """Returns the changed rows where (N,) `chosen` says so, the others to the bit as they were."""

    def pick(a: Tensor | None, b: Tensor | None) -> Tensor | None:
        return None if a is None or b is None else torch.where(chosen.view(-1, *[1] * (a.dim() - 1)), a, b)

    return replace(
        batch,
        images=torch.where(chosen.view(-1, 1, 1, 1), changed.images, batch.images),
        masks=pick(changed.masks, batch.masks),
        instances=pick(changed.instances, batch.instances),
        boxes=pick(changed.boxes, batch.boxes),
        classes=pick(changed.classes, batch.classes),
    )


def _resize_nearest(values: Tensor, size: tuple[int, int]) -> Tensor:
    found = F.interpolate(values.unsqueeze(1).float(), size, mode="nearest-exact")
    return found.squeeze(1).to(values.dtype)


def _uniform(shape: int | tuple[int, ...], low: float, high: float, like: Tensor) -> Tensor:
    return low + (high - low) * torch.rand(shape, device=like.device, dtype=like.dtype)


def _log_uniform(n: int, low: float, like: Tensor) -> Tensor:
    """Draws from `low` to its inverse."""
    return low ** _uniform(n, -1, 1, like)


def _centres_inside(batch: Batch, windows: Tensor) -> Tensor:
    """Whether the centre of each object lies in each window, (N, T, M)."""
    assert batch.boxes is not None and batch.classes is not None
    centres = ((batch.boxes[..., :2] + batch.boxes[..., 2:]) / 2).unsqueeze(1)
    inside = (centres > windows[:, :, None, :2]) & (centres < windows[:, :, None, 2:])
    return inside.all(3) & (batch.classes != PADDED).unsqueeze(1)


def _iou(windows: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union of (N, T, 4) windows and (N, M, 4) boxes, (N, T, M)."""
    first, second = windows.unsqueeze(2), boxes.unsqueeze(1)
    low, high = torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    both = area(torch.cat([low, high], 3))
    return both / (area(first) + area(second) - both).clamp(min=1e-9)
