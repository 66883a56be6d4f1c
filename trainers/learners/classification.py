"""Classification of images: batches, loss and accuracy."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.recipe import ClassificationRecipe
from trainers.data.base import ImageSet
from trainers.data.splits import Part
from trainers.learners.base import Learner
from trainers.learners.depth import Depth
from trainers.learners.images import Pixels
from trainers.learners.restored import restored
from trainers.learners.teaching import Predict, distiller, joined, members, members_of_checkpoint, together
from trainers.metrics import accuracy
from trainers.trial import ALONE, Common
from trainers.tricks.augment import Changes, normalized
from trainers.tricks.batch import Batch
from trainers.tricks.loss import loss_of, missing
from trainers.tricks.registry import implementation
from trainers.tricks.sampling import make_sampler, rows_of

if TYPE_CHECKING:
    from trainers.tasks.classification import Classifier

_EVALUATED = 512  # images at once


class Images(Pixels):
    """Some rows of an image set, with their labels.

    Args:
        data: The whole set.
        rows: (N,) rows of it, from 0 to N - 1 here.
        device: Where the images are wanted.
        channels_last: Their layout in memory.
    """

    def __init__(self, data: ImageSet, rows: NDArray[np.int64], device: str, channels_last: bool) -> None:
        super().__init__(data, rows, device, channels_last)
        self.labels = torch.from_numpy(data.labels[rows]).to(device)


class ClassificationLearner(Learner):
    """Trains a network on the training part and judges it on the validation part.

    Args:
        spec: Architecture and recipe.
        data: The images.
        seed: Of the order of the rows.
        device: A torch device.
        common: What the trials of the search have in common.

    Raises:
        ValueError: A trick of the recipe cannot be used on this data.
    """

    def __init__(self, spec: Classifier, data: ImageSet, seed: int, device: str, common: Common = ALONE) -> None:
        recipe = spec.recipe
        data = normalized(recipe, data)
        self.network = self._built(spec, data).to(device)
        rows = self._weight_rows(np.flatnonzero(data.parts == Part.TRAIN))
        self._train = Images(data, rows, device, recipe.channels_last)
        self._val = Images(data, np.flatnonzero(data.parts == Part.VAL), device, recipe.channels_last)
        self.sampler = make_sampler(recipe, functools.partial(rows_of, data, rows), len(rows), seed, device)
        self._targets = _targets(recipe, len(data.classes), device)
        self._mixed, self._classes = recipe.mix is not None, len(data.classes)
        self._loss = loss_of(recipe.loss)
        self._margin = None if recipe.margin is None else implementation(recipe.margin)(self.network)
        self._supervise = None if recipe.deep_supervision is None else implementation(recipe.deep_supervision)
        self._depth = self._depth_of(spec, data)
        self._gate_loss = None if recipe.gates is None else implementation(recipe.gates)
        self._distil = distiller(ClassificationLearner, spec, data, device, common)
        others = members(ClassificationLearner, spec, data, device, common)
        self.extra = joined(distillation=self._distil, ensemble=others)
        self._changes = Changes(recipe, self.sampler, data.mean, data.std)
        self._predict = together(predictor(spec, self.network), others)

    def _built(self, spec: Classifier, data: ImageSet) -> nn.Module:
        return spec.architecture.build(data.input_shape, len(data.classes))

    def _weight_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return rows

    def _depth_of(self, spec: Classifier, data: ImageSet) -> Depth | None:
        return Depth(spec.architecture, data.input_shape, len(data.classes))

    def batch(self, rows: Tensor) -> Batch:
        """Returns the images and targets of some rows, changed as the recipe says."""
        return self._batch_of(self._train, rows)

    def _batch_of(self, images: Images, rows: Tensor) -> Batch:
        labels = images.labels.index_select(0, rows)
        targets = labels if self._targets is None else self._targets.index_select(0, labels)
        return self._changes(Batch(images[rows], labels, targets, rows=rows))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss that the recipe says, and the accuracy with the labels."""
        outputs = self.network(batch.images)
        assert batch.targets is not None and batch.labels is not None
        logits = outputs["out"]
        if self._margin is not None:
            logits = self._margin(self._shares(batch), batch.progress)
        loss = self._loss(logits, batch.targets)
        if self._supervise is not None:
            loss = self._supervise([loss, *(self._loss(head, batch.targets) for head in _heads(outputs))])
        if self._gate_loss is not None and self._depth is not None and "gates" in outputs:
            loss = loss + self._gate_loss(outputs["gates"], self._depth.macs)
        if self._distil is not None:
            loss = self._distil(outputs, batch.images, loss)
        return loss, {"accuracy": accuracy(logits.detach(), batch.labels)}

    def _shares(self, batch: Batch) -> Tensor:
        """Returns how much of a margin each class gets, (N, K): what is mixed shares it, what is smoothed does not."""
        assert batch.targets is not None and batch.labels is not None
        if self._mixed and batch.targets.is_floating_point():
            return batch.targets
        return F.one_hot(batch.labels, self._classes).to(torch.float32)

    def constrain(self) -> None:
        """Puts the rows of the classifier back to where a margin keeps them."""
        if self._margin is not None:
            self._margin.constrain()

    def evaluate(self) -> dict[str, float]:
        """Returns loss, accuracy and average multiply-adds on the validation part."""
        self.network.eval()
        with nullcontext() if self._depth is None else self._depth.counting(self.network):
            found = figures(self._predict, self._val)
        if self._depth is not None:
            found["macs"] = self._depth.average_macs()
        return {f"val/{name}": value for name, value in found.items()}


def _heads(outputs: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """Returns the logits of the auxiliary heads, each (N, K).

    Raises:
        ValueError: There are none.
    """
    if "aux" not in outputs:
        raise missing("deep_supervision", "auxiliary heads")
    aux: Tensor | tuple[Tensor, ...] = outputs["aux"]
    return (aux,) if isinstance(aux, Tensor) else aux


def _targets(recipe: ClassificationRecipe, classes: int, device: str) -> Tensor | None:
    """Row k holds the target of class k, (K, K); None where labels themselves will do."""
    if recipe.label_smoothing is None:
        return None if recipe.mix is None else torch.eye(classes, device=device)
    smoothed: Tensor = implementation(recipe.label_smoothing)(torch.eye(classes, device=device))
    return smoothed


def predictor(spec: Classifier, network: nn.Module) -> Predict:
    """Returns what gives the (N, K) logits of images: the network, or the recipe's way to ask it."""
    test = spec.recipe.prediction
    return network if test is None else functools.partial(implementation(test), network)


@torch.inference_mode()
def figures(predict: Predict, images: Images) -> dict[str, float]:
    """Returns mean cross-entropy and accuracy of predictions.

    Args:
        predict: Returns (N, K) logits.
        images: With their labels.
    """
    loss = torch.zeros((), device=images.labels.device, dtype=torch.float64)
    correct = torch.zeros_like(loss)
    for start in range(0, len(images), _EVALUATED):
        rows = torch.arange(start, min(start + _EVALUATED, len(images)), device=images.labels.device)
        logits, labels = predict(images[rows]).float(), images.labels[rows]
        loss += F.cross_entropy(logits, labels, reduction="sum")
        correct += (logits.argmax(1) == labels).sum()
    return {"loss": loss.item() / len(images), "accuracy": correct.item() / len(images)}


def predictor_of_checkpoint(spec: Classifier, checkpoint: str, data: ImageSet) -> Predict:
    """Returns what gives logits of images, with the weights that a checkpoint holds.

    Args:
        spec: What was trained.
        checkpoint: Its path or URI.
        data: The images.

    Raises:
        CheckpointError: The checkpoint cannot be read.
    """
    network = restored(spec.architecture, data.input_shape, len(data.classes), checkpoint)
    return together(predictor(spec, network), members_of_checkpoint(spec, data, checkpoint))


def figures_of_checkpoint(spec: Classifier, checkpoint: str, data: ImageSet, part: Part) -> dict[str, float]:
    """Returns mean cross-entropy, accuracy and average multiply-adds on one part, of a checkpoint's weights.

    Args:
        spec: What was trained.
        checkpoint: Its path or URI.
        data: The images.
        part: Which of them.

    Raises:
        CheckpointError: The checkpoint cannot be read.
    """
    network = restored(spec.architecture, data.input_shape, len(data.classes), checkpoint)
    predict = together(predictor(spec, network), members_of_checkpoint(spec, data, checkpoint))
    images = Images(normalized(spec.recipe, data), np.flatnonzero(data.parts == part), "cpu", channels_last=False)
    depth = Depth(spec.architecture, data.input_shape, len(data.classes))
    with depth.counting(network):
        return figures(predict, images) | {"macs": depth.average_macs()}
