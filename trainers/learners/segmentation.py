"""Semantic segmentation: batches with masks, losses on pixels and edges, intersection over union."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.recipe import SegmentationRecipe, Trick
from trainers.data.pictures import IGNORE, SegmentationSet
from trainers.data.splits import Part
from trainers.learners.base import Learner
from trainers.learners.images import Picked, Pixels
from trainers.learners.restored import restored
from trainers.learners.teaching import Predict, distiller, joined, members, members_of_checkpoint, together
from trainers.metrics import class_iou, confusion, mean_iou
from trainers.trial import ALONE, Common
from trainers.tricks.augment import Changes, normalized
from trainers.tricks.batch import Batch
from trainers.tricks.loss import loss_of, missing
from trainers.tricks.registry import implementation
from trainers.tricks.sampling import make_sampler, rows_of

if TYPE_CHECKING:
    from trainers.tasks.segmentation import SegmentationModel

_EVALUATED = 2**24  # numbers in the logits of the images that are evaluated at once
_NOT_IN_NAMES = re.compile(r"[^\w.\- ]")


class MaskedImages(Pixels):
    """Some rows of an image set, with their masks.

    Args:
        data: The whole set.
        rows: (N,) rows of it, from 0 to N - 1 here.
        device: Where the images are wanted.
        channels_last: Their layout in memory.
    """

    def __init__(self, data: SegmentationSet, rows: NDArray[np.int64], device: str, channels_last: bool) -> None:
        super().__init__(data, rows, device, channels_last)
        self.pixels = data.masks[0].size
        self._masks = Picked(data.masks, rows, device)

    def masks(self, rows: Tensor) -> Tensor:
        """Returns the (n, H, W) int64 masks of n rows."""
        return self._masks[rows].long()


class SegmentationLearner(Learner):
    """Trains a network to label pixels and judges it on the validation part.

    Args:
        spec: Architecture and recipe.
        data: Images and masks.
        seed: Of the order of the rows.
        device: A torch device.
        common: What the trials of the search have in common.

    Raises:
        ValueError: A trick of the recipe cannot be used on this data.
    """

    def __init__(
        self, spec: SegmentationModel, data: SegmentationSet, seed: int, device: str, common: Common = ALONE
    ) -> None:
        recipe = spec.recipe
        data = normalized(recipe, data)
        self._classes = data.classes
        self.network = spec.architecture.build(data.input_shape, len(data.classes)).to(device)
        rows = data.rows(Part.TRAIN)
        self._train = MaskedImages(data, rows, device, recipe.channels_last)
        self._val = MaskedImages(data, data.rows(Part.VAL), device, recipe.channels_last)
        self.sampler = make_sampler(recipe, functools.partial(rows_of, data, rows), len(rows), seed, device)
        self._changes = Changes(recipe, self.sampler, data.mean, data.std)
        self._loss = PixelLoss(recipe, len(data.classes), device)
        self._distil = distiller(SegmentationLearner, spec, data, device, common)
        others = members(SegmentationLearner, spec, data, device, common)
        self.extra = joined(uncertainty=self._loss.uncertainty, distillation=self._distil, ensemble=others)
        self._predict = predictor(spec, together(self.network, others))

    def batch(self, rows: Tensor) -> Batch:
        """Returns the images and masks of some rows, changed as the recipe says."""
        return self._changes(Batch(self._train[rows], masks=self._train.masks(rows), rows=rows))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss that the recipe says, and the accuracy of pixels."""
        outputs = self.network(batch.images)
        assert batch.masks is not None
        logits = outputs["out"]
        if logits.shape[2:] != batch.masks.shape[1:]:
            rule = "segmentation needs a network that labels every pixel, such as segmenter"
            raise ValueError(f"{rule}; got an output of shape {tuple(logits.shape)}")
        loss = self._loss(outputs, batch.masks)
        if self._distil is not None:
            loss = self._distil(outputs, batch.images, loss)
        return loss, {"pixel_accuracy": pixel_accuracy(logits.detach(), batch.masks)}

    def evaluate(self) -> dict[str, float]:
        """Returns the figures of the validation part."""
        self.network.eval()
        found = figures(self._predict, self._val, self._classes)
        return {f"val/{name}": value for name, value in found.items()}


class PixelLoss:
    """The loss of all outputs that the recipe asks for.

    Args:
        recipe: Which, and how they are joined.
        classes: Their number.
        device: A torch device.

    Raises:
        ValueError: A trick cannot be used with so few classes.
    """

    def __init__(self, recipe: SegmentationRecipe, classes: int, device: str) -> None:
        self._classes = loss_of(recipe.loss, recipe.label_smoothing, classes)
        self._heads = _implemented(recipe.deep_supervision)
        self._edges, self._dual = _implemented(recipe.edge_loss), _implemented(recipe.dual_task)
        used = {"classes": True, "edge_loss": self._edges, "dual_task": self._dual}
        names = {name: False for name, trick in used.items() if trick}  # none is a regression
        join = recipe.uncertainty
        self.uncertainty: nn.Module | None = None if join is None else implementation(join)(names, device)

    def __call__(self, outputs: Mapping[str, Any], masks: Tensor) -> Tensor:
        """Returns the loss.

        Args:
            outputs: Of the network in train mode.
            masks: (N, H, W).

        Raises:
            ValueError: The network does not have an output that the recipe asks for.
        """
        losses = {"classes": self._classes(outputs["out"], masks)}
        if self._heads is not None:
            heads = [self._classes(logits, masks) for logits in _output(outputs, "aux", "deep_supervision")]
            losses["classes"] = self._heads([losses["classes"], *heads])
        if self._edges is not None:
            losses["edge_loss"] = self._edges(_output(outputs, "edges", "edge_loss"), masks)
        if self._dual is not None:
            losses["dual_task"] = self._dual(outputs["out"], _output(outputs, "edges", "dual_task"), masks)
        if self.uncertainty is not None:
            joined: Tensor = self.uncertainty(losses)
            return joined
        return torch.stack([loss.float() for loss in losses.values()]).sum()


def _implemented(trick: Trick | None) -> Callable[..., Any] | None:
    return None if trick is None else implementation(trick)


def _output(outputs: Mapping[str, Any], name: str, trick: str) -> Any:
    if name not in outputs:
        raise missing(trick, name)
    return outputs[name]


def pixel_accuracy(logits: Tensor, masks: Tensor) -> Tensor:
    """Returns the share of pixels that are right, of those that have a class.

    Args:
        logits: (N, K, H, W).
        masks: (N, H, W).
    """
    counted = masks != IGNORE
    return ((logits.argmax(1) == masks) & counted).sum() / counted.sum().clamp(min=1)


def predictor(spec: SegmentationModel, network: Predict) -> Predict:
    """Returns what gives the (N, K, H, W) logits of images: the network, or the recipe's way to ask it."""
    test = spec.recipe.prediction
    return network if test is None else functools.partial(implementation(test), network)


@torch.inference_mode()
def figures(predict: Predict, images: MaskedImages, classes: Sequence[str]) -> dict[str, float]:
    """Returns mean cross-entropy and shares of pixels and of areas that are right.

    `miou` is the mean over classes of intersection over union, whose pixels are counted over all images; `image_miou`
    the mean over images of that of each. A class that is neither there nor predicted does not count, and has no
    `iou/NAME`.

    Args:
        predict: Returns (N, K, H, W) logits.
        images: With their masks.
        classes: K names.
    """
    device, count = torch.device(images.device), len(images)
    loss = torch.zeros((), device=device, dtype=torch.float64)
    counts = torch.zeros(len(classes), len(classes), device=device, dtype=torch.int64)
    per_image = torch.zeros_like(loss)
    step = max(1, _EVALUATED // (images.pixels * len(classes)))
    for start in range(0, count, step):
        rows = torch.arange(start, min(start + step, count), device=device)
        logits, masks = predict(images[rows]).float(), images.masks(rows)
        loss += F.cross_entropy(logits, masks, ignore_index=IGNORE, reduction="sum")
        found = confusion(logits.argmax(1), masks, len(classes))
        counts += found.sum(0)
        per_image += mean_iou(found).sum()
    pixels = counts.sum().clamp(min=1)
    each = zip(classes, class_iou(counts).tolist(), strict=True)
    return {
        "loss": (loss / pixels).item(),
        "miou": mean_iou(counts).item(),
        "image_miou": per_image.item() / count,
        "pixel_accuracy": (counts.diagonal().sum() / pixels).item(),
    } | {f"iou/{_NOT_IN_NAMES.sub('_', name)}": value for name, value in each if value == value}


def predictor_of_checkpoint(spec: SegmentationModel, checkpoint: str, data: SegmentationSet) -> Predict:
    """Returns what gives logits of images, with the weights that a checkpoint holds.

    Args:
        spec: What was trained.
        checkpoint: Its path or URI.
        data: Images and masks.

    Raises:
        CheckpointError: The checkpoint cannot be read.
    """
    network = restored(spec.architecture, data.input_shape, len(data.classes), checkpoint)
    return predictor(spec, together(network, members_of_checkpoint(spec, data, checkpoint)))


def figures_of_checkpoint(
    spec: SegmentationModel, checkpoint: str, data: SegmentationSet, part: Part
) -> dict[str, float]:
    """Returns all figures on one part, of the weights that a checkpoint holds.

    Args:
        spec: What was trained.
        checkpoint: Its path or URI.
        data: Images and masks.
        part: Which of them.

    Raises:
        CheckpointError: The checkpoint cannot be read.
    """
    images = MaskedImages(normalized(spec.recipe, data), data.rows(part), "cpu", channels_last=False)
    return figures(predictor_of_checkpoint(spec, checkpoint, data), images, data.classes)
