"""What stages that look at regions learn one after another, with a semantic branch and masks if there are any."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.operators.roi_align import plain_roi_align
from search_spaces.recipe.boxes import CascadeLoss
from trainers.data.pictures import IGNORE
from trainers.tricks.batch import Batch
from trainers.tricks.objects import Chosen, Objects
from trainers.tricks.registry import implements

_SAMPLING = 2  # points, in each direction, of a cell of a mask


class StagePlan(NamedTuple):
    """How much more boxes have to overlap an object than before the first stage, and what losses weigh."""

    raised: float
    weight: float


@implements(CascadeLoss)
def stage_plan(spec: CascadeLoss, stage: int) -> StagePlan:
    """Returns how a stage learns.

    Args:
        spec: What changes from stage to stage.
        stage: Its number behind the proposals, from 0.
    """
    return StagePlan(spec.step * stage, spec.decay**stage)


def semantic_loss(logits: Tensor, objects: Objects, batch: Batch) -> Tensor:
    """Returns the mean cross-entropy of the class that each pixel shows.

    Args:
        logits: (N, K + 1, h, w), the background last.
        objects: Of the batch.
        batch: Its images, and which object each pixel shows, if it says so.
    """
    size, background = (logits.shape[2], logits.shape[3]), logits.shape[1] - 1
    if batch.instances is None:
        labels = labels_of_boxes(objects, size, (batch.images.shape[2], batch.images.shape[3]), background)
    else:
        labels = labels_of_instances(objects, batch.instances, size, background)
    total = F.cross_entropy(logits.float(), labels, ignore_index=IGNORE_LABEL, reduction="sum")
    return total / (labels != IGNORE_LABEL).sum().clamp(min=1)


IGNORE_LABEL = -IGNORE
"""The label of pixels that show objects that do not count."""


def labels_of_instances(objects: Objects, instances: Tensor, size: tuple[int, int], background: int) -> Tensor:
    """Returns the class that each pixel shows, (N, h, w).

    Args:
        objects: Of the images.
        instances: (N, H, W) int64, 1 + place of the object that a pixel shows, or 0.
        size: Rows and columns of the result; each takes the nearest pixel.
        background: The label of pixels without object.
    """
    near = F.interpolate(instances.unsqueeze(1).float(), size=size, mode="nearest").long().flatten(1)
    own = torch.where(objects.counts, objects.classes, IGNORE_LABEL)
    table = torch.cat([own.new_full((len(own), 1), background), own], 1)
    return table.gather(1, near).view(-1, *size)


def labels_of_boxes(objects: Objects, size: tuple[int, int], image_size: tuple[int, int], background: int) -> Tensor:
    """Returns the class of the smallest box around each pixel, (N, h, w).

    Args:
        objects: Of the images.
        size: Rows and columns of the result.
        image_size: Height and width of the images, in pixels.
        background: The label of pixels in no box.
    """
    device = objects.boxes.device
    y, x = ((torch.arange(n, device=device) + 0.5) * (whole / n) for n, whole in zip(size, image_size, strict=True))
    left, top, right, bottom = (side[..., None] for side in objects.boxes.unbind(-1))  # (N, M, 1)
    rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)
    there = objects.counts if objects.ignored is None else objects.counts | objects.ignored
    inside = rows[..., :, None] & columns[..., None, :] & there[..., None, None]
    areas = ((right - left) * (bottom - top))[..., None]
    smallest = torch.where(inside, areas, torch.inf).argmin(1)
    own = torch.where(objects.counts, objects.classes, IGNORE_LABEL)
    return torch.where(inside.any(1), own.gather(1, smallest.flatten(1)).view_as(smallest), background)


def mask_loss(
    predict: Callable[[Tensor], Tensor], boxes: Tensor, chosen: Chosen, objects: Objects, instances: Tensor
) -> Tensor:
    """Returns the mean binary cross-entropy of the masks of the boxes with objects, for the classes that they have.

    Args:
        predict: Boxes (N, q, 4) -> logits (N, q, K, size, size).
        boxes: (N, P, 4) in pixels.
        chosen: Which of them have which objects.
        objects: Of the images.
        instances: (N, H, W) int64, 1 + place of the object that a pixel shows, or 0.
    """
    if len(chosen.rows) == 0:
        return boxes.new_zeros(())
    counts = torch.bincount(chosen.rows, minlength=len(boxes))
    slots = torch.arange(len(chosen.rows), device=boxes.device) - (counts.cumsum(0) - counts)[chosen.rows]
    picked = boxes[chosen.rows, chosen.places]
    padded = boxes.new_tensor([0.0, 0.0, 1.0, 1.0]).repeat(len(boxes), int(counts.max()), 1)
    padded[chosen.rows, slots] = picked
    own = objects.classes[chosen.rows, chosen.objects]
    logits = predict(padded)[chosen.rows, slots, own]
    shown = (instances[chosen.rows] == 1 + chosen.objects.view(-1, 1, 1)).float().unsqueeze(1)
    right = plain_roi_align((shown,), picked.unsqueeze(1), (1,), logits.shape[-1], _SAMPLING)[:, 0, 0] >= 0.5
    each = F.binary_cross_entropy_with_logits(logits.float(), right.float(), reduction="none").mean((1, 2))
    return (each * chosen.weights).sum() / chosen.weights.sum().clamp(min=1)
