"""Object detection: batches with boxes, losses of one stage or two, average precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search_spaces.architectures.detector import Detector
from search_spaces.blocks.cascade import HybridCascade
from trainers.data.pictures import DetectionSet
from trainers.data.splits import Part
from trainers.learners.base import Learner
from trainers.learners.detection_losses import DetectionLosses, loss_names
from trainers.learners.finder import Finder
from trainers.learners.images import Picked, Pixels
from trainers.learners.restored import restored
from trainers.learners.teaching import joined
from trainers.metrics_detection import Detections, Truth, average_precision
from trainers.tricks.augment import Changes, normalized
from trainers.tricks.batch import Batch
from trainers.tricks.registry import implementation
from trainers.tricks.sampling import make_sampler, rows_of

if TYPE_CHECKING:
    from trainers.tasks.detection import DetectionModel

_EVALUATED = 32  # images at once


class BoxedImages(Pixels):
    """Some rows of an image set, with their objects.

    Args:
        data: The whole set.
        rows: (N,) rows of it, from 0 to N - 1 here.
        device: Where the images are wanted.
        channels_last: Their layout in memory.
        shown: Whether batches say which object each pixel shows, if the data do.
    """

    def __init__(
        self, data: DetectionSet, rows: NDArray[np.int64], device: str, channels_last: bool, shown: bool = False
    ) -> None:
        super().__init__(data, rows, device, channels_last)
        self.truth = Truth(data.boxes[rows], data.labels[rows], data.difficult[rows], data.crowd[rows])
        self.classes = data.classes
        self._boxes = torch.from_numpy(self.truth.boxes).to(device)
        self._labels = torch.from_numpy(self.truth.labels).to(device)
        ignored = self.truth.difficult | self.truth.crowd
        # Objects that do not count have the weight 0.
        self._weights = torch.from_numpy(1 - ignored.astype(np.float32)).to(device) if ignored.any() else None
        instances = data.instances if shown else None
        self._instances = None if instances is None else Picked(instances, rows, device)

    def all(self) -> Tensor:
        """Returns the (N, C, H, W) images of all rows."""
        return self[torch.arange(len(self), device=self.device)]

    def batch(self, rows: Tensor) -> Batch:
        """Returns the images of n rows with their boxes."""
        own = None if self._weights is None else self._weights[rows]
        shown = None if self._instances is None else self._instances[rows].long()
        boxes, classes = self._boxes[rows], self._labels[rows]
        return Batch(self[rows], boxes=boxes, classes=classes, weights=own, instances=shown, rows=rows)


class DetectionLearner(Learner):
    """Trains a network to find objects and judges it on the validation part.

    Args:
        spec: Architecture and recipe.
        data: Images and boxes.
        seed: Of the order of the rows.
        device: A torch device.

    Raises:
        ValueError: A trick of the recipe cannot be used on this data.
    """

    def __init__(self, spec: DetectionModel, data: DetectionSet, seed: int, device: str) -> None:
        recipe = spec.recipe
        data = normalized(recipe, data)
        self.network = spec.architecture.build(data.input_shape, len(data.classes)).to(device)
        rows = data.rows(Part.TRAIN)
        # Which object a pixel shows is of use to copies of objects, and to heads that learn it.
        learned = _shown(spec, data)
        shown = learned or recipe.copy_paste is not None
        self._train = BoxedImages(data, rows, device, recipe.channels_last, shown)
        self._val = BoxedImages(data, data.rows(Part.VAL), device, recipe.channels_last, learned)
        self.sampler = make_sampler(recipe, lambda: rows_of(data, rows), len(rows), seed, device)
        self._changes = Changes(recipe, self.sampler, data.mean, data.std)
        join = _uncertainty(spec, device)
        self.extra = joined(uncertainty=join)
        self._losses = DetectionLosses(spec, self.network, join)
        self._finder = Finder(spec, self.network)

    def batch(self, rows: Tensor) -> Batch:
        """Returns the images and boxes of some rows, changed as the recipe says."""
        return self._changes(self._train.batch(rows))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the sum of the losses of classes and boxes, and each of them."""
        return self._losses(self.network(batch.images), batch)

    def evaluate(self) -> dict[str, float]:
        """Returns the figures of the validation part."""
        return {f"val/{name}": value for name, value in figures(self._finder, self._losses, self._val).items()}


def _uncertainty(spec: DetectionModel, device: str) -> nn.Module | None:
    """Returns what weighs the losses that a network has."""
    if spec.recipe.uncertainty is None:
        return None
    assert isinstance(spec.architecture, Detector)
    made: nn.Module = implementation(spec.recipe.uncertainty)(loss_names(spec.architecture.head), device)
    return made


@torch.inference_mode()
def figures(finder: Finder, losses: DetectionLosses, images: BoxedImages) -> dict[str, float]:
    """Returns the mean loss of a network, which is left in eval mode, and the average precision of what it finds.

    The loss is that of training, but all anchors and proposals count and objects are no proposals.

    Args:
        finder: Finds objects with the network.
        losses: Of the same network.
        images: With their objects.
    """
    total = torch.zeros((), device=images.device, dtype=torch.float64)
    found = []
    for start in range(0, len(images), _EVALUATED):
        batch = images.batch(torch.arange(start, min(start + _EVALUATED, len(images)), device=images.device))
        outputs = finder.outputs(batch.images)
        total += losses(outputs, batch, sampled=False)[0] * len(batch.images)
        found.append(finder(batch.images, outputs))
    boxes, scores, classes = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
    precision = average_precision(Detections(boxes, scores, classes), images.truth, images.classes)
    return {"loss": total.item() / len(images)} | precision


def finder_of_checkpoint(spec: DetectionModel, checkpoint: str, data: DetectionSet) -> Finder:
    """Returns what finds objects, with the weights that a checkpoint holds.

    Args:
        spec: What was trained.
        checkpoint: Its path or URI.
        data: Images and boxes.

    Raises:
        CheckpointError: The checkpoint cannot be read.
    """
    return Finder(spec, restored(spec.architecture, data.input_shape, len(data.classes), checkpoint))


def figures_of_checkpoint(spec: DetectionModel, checkpoint: str, data: DetectionSet, part: Part) -> dict[str, float]:
    """Returns all figures on one part, of the weights that a checkpoint holds.

    Args:
        spec: What was trained.
        checkpoint: Its path or URI.
        data: Images and boxes.
        part: Which of them.

    Raises:
        CheckpointError: The checkpoint cannot be read.
    """
    finder = finder_of_checkpoint(spec, checkpoint, data)
    return figures(finder, DetectionLosses(spec, finder.network), images_of(spec, data, data.rows(part)))


def images_of(spec: DetectionModel, data: DetectionSet, rows: NDArray[np.int64]) -> BoxedImages:
    """Returns some rows of a set on the CPU, normalised as the recipe says."""
    return BoxedImages(normalized(spec.recipe, data), rows, "cpu", channels_last=False, shown=_shown(spec, data))


def _shown(spec: DetectionModel, data: DetectionSet) -> bool:
    """Whether the head learns which object each pixel shows.

    Raises:
        ValueError: It needs to, and the data do not say so.
    """
    assert isinstance(spec.architecture, Detector)
    head = spec.architecture.head
    if isinstance(head, HybridCascade) and head.masks and data.instances is None:
        raise ValueError("masks need data that say which object each pixel shows; set masks of the head to false")
    return isinstance(head, HybridCascade) and (head.masks or head.semantic)
