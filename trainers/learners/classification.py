"""Classification of images: batches, loss and accuracy."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.recipe import Recipe
from trainers.checkpoint import load, weights
from trainers.data.base import ImageSet
from trainers.data.sampler import Sampler
from trainers.data.splits import Part
from trainers.metrics import accuracy
from trainers.tricks.batch import Batch
from trainers.tricks.registry import implementation

if TYPE_CHECKING:
    from trainers.tasks.classification import Classifier

_EVALUATED = 512  # images at once
_SMALL = 2**26  # bytes that a trial may spend on a normalised copy of its images


class Images:
    """Some rows of an image set, normalised as they are read; few of them are normalised beforehand.

    Args:
        data: The whole set.
        rows: (N,) rows of it, from 0 to N - 1 here.
        device: Where the images are wanted.
        channels_last: Their layout in memory.
    """

    def __init__(self, data: ImageSet, rows: NDArray[np.int64], device: str, channels_last: bool) -> None:
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        scale = torch.from_numpy(1 / data.std).to(device).view(1, -1, 1, 1)
        offset = torch.from_numpy(-data.mean / data.std).to(device).view(1, -1, 1, 1)
        self._normalise: tuple[Tensor, Tensor] | None = (scale, offset)
        self._rows: Tensor | None = None
        self.labels = torch.from_numpy(data.labels[rows]).to(device)
        if torch.device(device).type == "cpu" and len(rows) * data.images[0].size * 4 > _SMALL:
            # The set may be shared between processes, so it is read in place.
            self._source, self._rows = _shared(data.images), torch.from_numpy(rows)
            return
        self._source = torch.from_numpy(data.images[rows]).to(device)
        if self._source.numel() * 4 <= _SMALL:
            self._source = self._read(self._source)
            self._normalise = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Returns the (n, C, H, W) normalised images of n rows."""
        return self._read(self._source.index_select(0, rows if self._rows is None else self._rows[rows]))

    def _read(self, images: Tensor) -> Tensor:
        if self._normalise is not None:
            scale, offset = self._normalise
            images = torch.addcmul(offset, images.float(), scale)
        return images.contiguous(memory_format=self._format)


def _shared(array: NDArray[Any]) -> Tensor:
    with warnings.catch_warnings():
        # An object store hands out read-only arrays; nothing writes to this tensor.
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(array)


class ClassificationLearner:
    """Trains a network on the training part and judges it on the validation part.

    Args:
        spec: Architecture and recipe.
        data: The images.
        seed: Of the order of the rows.
        device: A torch device.

    Raises:
        ValueError: A trick of the recipe cannot be used on this data.
    """

    def __init__(self, spec: Classifier, data: ImageSet, seed: int, device: str) -> None:
        recipe = spec.recipe
        self.network = spec.architecture.build(data.input_shape, len(data.classes)).to(device)
        rows = np.flatnonzero(data.parts == Part.TRAIN)
        self._train = Images(data, rows, device, recipe.channels_last)
        self._val = Images(data, np.flatnonzero(data.parts == Part.VAL), device, recipe.channels_last)
        self.sampler = Sampler(np.arange(len(rows)), recipe.batch_size, seed, device)
        self._targets = _targets(recipe, len(data.classes), device)
        used = [getattr(recipe, name) for name in Recipe.ORDER if name != "normalize"]
        self._changes = [implementation(trick) for trick in used if trick is not None]

    def batch(self, rows: Tensor) -> Batch:
        """Returns the images and targets of some rows, changed as the recipe says."""
        labels = self._train.labels.index_select(0, rows)
        targets = labels if self._targets is None else self._targets.index_select(0, labels)
        batch = Batch(self._train[rows], labels, targets)
        for change in self._changes:
            batch = change(batch)
        return batch

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the cross-entropy with the targets, and the accuracy with the labels."""
        logits = self.network(batch.images)["out"]
        return F.cross_entropy(logits, batch.targets), {"accuracy": accuracy(logits.detach(), batch.labels)}

    def evaluate(self) -> dict[str, float]:
        """Returns loss and accuracy on the validation part."""
        return {f"val/{name}": value for name, value in figures(self.network, self._val).items()}


def _targets(recipe: Recipe, classes: int, device: str) -> Tensor | None:
    """Row k holds the target of class k, (K, K); None where labels themselves will do."""
    if recipe.label_smoothing is None:
        return None if recipe.mix is None else torch.eye(classes, device=device)
    smoothed: Tensor = implementation(recipe.label_smoothing)(torch.eye(classes, device=device))
    return smoothed


@torch.inference_mode()
def figures(network: nn.Module, images: Images) -> dict[str, float]:
    """Returns mean cross-entropy and accuracy of a network, which is left in eval mode.

    Args:
        network: Returns (N, K) logits in eval mode.
        images: With their labels.
    """
    network.eval()
    loss = torch.zeros((), device=images.labels.device, dtype=torch.float64)
    correct = torch.zeros_like(loss)
    for start in range(0, len(images), _EVALUATED):
        rows = torch.arange(start, min(start + _EVALUATED, len(images)), device=images.labels.device)
        logits, labels = network(images[rows]).float(), images.labels[rows]
        loss += F.cross_entropy(logits, labels, reduction="sum")
        correct += (logits.argmax(1) == labels).sum()
    return {"loss": loss.item() / len(images), "accuracy": correct.item() / len(images)}


def figures_of_checkpoint(spec: Classifier, checkpoint: str, data: ImageSet, part: Part) -> dict[str, float]:
    """Returns mean cross-entropy and accuracy on one part, of the weights that a checkpoint holds.

    Args:
        spec: What was trained.
        checkpoint: Its path or URI.
        data: The images.
        part: Which of them.

    Raises:
        CheckpointError: The checkpoint cannot be read.
    """
    network = spec.architecture.build(data.input_shape, len(data.classes))
    network.load_state_dict(weights(load(checkpoint)))
    images = Images(data, np.flatnonzero(data.parts == part), "cpu", channels_last=False)
    return figures(network, images)
