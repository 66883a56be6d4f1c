"""Batches with everything that augmentations may move, shared by the tests of this folder."""

from dataclasses import replace

import torch

from search_spaces.recipe import Trick
from trainers.data.scenes import Scenes
from trainers.determinism import Generators
from trainers.tricks.batch import Batch
from trainers.tricks.registry import implementation


def changed(spec: Trick, batch: Batch, seed: int = 0) -> Batch:
    with Generators(seed):
        found: Batch = implementation(spec)(batch)
    return found


def plain(images: torch.Tensor) -> Batch:
    labels = torch.arange(len(images))
    return Batch(images, labels, labels)


def scenes(count: int = 16, size: int = 64) -> Batch:
    """Generated scenes in [0, 1] with masks and boxes."""
    data = Scenes(scenes=64, size=size).load_boxes()
    masks = Scenes(scenes=64, size=size).load_masks().masks
    return Batch(
        torch.from_numpy(data.images[:count]).float() / 255,
        masks=torch.from_numpy(masks[:count]).long(),
        boxes=torch.from_numpy(data.boxes[:count]),
        classes=torch.from_numpy(data.labels[:count]),
        instances=torch.from_numpy(data.instances[:count]).long() if data.instances is not None else None,
    )


def one_box(box: tuple[float, float, float, float], height: int = 8, width: int = 8, count: int = 1) -> Batch:
    """Black images with one white box, in all that a batch can hold."""
    left, top, right, bottom = map(int, box)
    images = torch.zeros(count, 1, height, width)
    images[:, :, top:bottom, left:right] = 1
    instances = images[:, 0].long()
    boxes = torch.tensor([[box]]).float().repeat(count, 1, 1)
    return Batch(images, masks=instances * 3, boxes=boxes, classes=torch.full((count, 1), 2), instances=instances)


def extents(batch: Batch) -> torch.Tensor:
    """The box around what `one_box` drew, where it is brighter than a half, (N, 4)."""
    found = []
    for image in batch.images[:, 0] > 0.5:
        rows, columns = image.any(1).nonzero().flatten(), image.any(0).nonzero().flatten()
        found.append([columns[0].item(), rows[0].item(), columns[-1].item() + 1, rows[-1].item() + 1])
    return torch.tensor(found).float()


def equal(a: Batch, b: Batch) -> bool:
    """Bitwise equality of all that two batches hold."""
    for name in ("images", "labels", "targets", "masks", "boxes", "classes", "weights", "instances"):
        first, second = getattr(a, name), getattr(b, name)
        if (first is None) != (second is None) or (first is not None and not torch.equal(first, second)):
            return False
    return True


def at(batch: Batch, step: int = 0, progress: float = 0.0, seed: int = 0) -> Batch:
    return replace(batch, step=step, progress=progress, seed=seed)
