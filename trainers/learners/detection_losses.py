"""What a detector's outputs cost, for one stage or two; whole padded batches at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.architectures.detector import Detector
from search_spaces.recipe import Focal
from trainers.data.pictures import PADDED
from trainers.tricks.assignment import IGNORED, OBJECT, Assigned
from trainers.tricks.batch import Batch
from trainers.tricks.loss import sigmoid_focal, smoothed_cross_entropy, weights_of
from trainers.tricks.registry import implementation

if TYPE_CHECKING:
    from trainers.tasks.detection import DetectionModel

Parts = dict[str, Tensor]


class Objects(NamedTuple):
    """The boxes (N, M, 4) of a batch, their classes and weights (N, M), and which are to be found, or do not count."""

    boxes: Tensor
    classes: Tensor
    weights: Tensor
    counts: Tensor
    ignored: Tensor | None


class Chosen(NamedTuple):
    """Where candidates have objects: row and place of the candidate, place and weight of the object, (n,) each."""

    rows: Tensor
    places: Tensor
    objects: Tensor
    weights: Tensor


def objects_of(batch: Batch) -> Objects:
    """Returns the objects of a batch; those of weight 0 do not count."""
    assert batch.boxes is not None and batch.classes is not None
    there = batch.classes != PADDED
    classes = batch.classes.clamp(min=0)
    if batch.weights is None:
        return Objects(batch.boxes, classes, torch.ones_like(batch.boxes[..., 0]), there, None)
    counts = there & (batch.weights > 0)
    return Objects(batch.boxes, classes, batch.weights, counts, there & ~counts)


class DetectionLosses:
    """The losses that a recipe asks for.

    Args:
        spec: A `Detector` and its recipe.
        network: Built by it.
        join: Makes one loss of several by name while training; None: their sum.
    """

    def __init__(self, spec: DetectionModel, network: Any, join: Callable[[Parts], Tensor] | None = None) -> None:
        assert isinstance(spec.architecture, Detector)
        recipe = spec.recipe
        self._architecture, self._network = spec.architecture, network
        self._head = spec.architecture.head
        focal = recipe.loss if isinstance(recipe.loss, Focal) else Focal(gamma=0.0, alpha=None)
        self._gamma, self._alpha = focal.gamma, focal.alpha
        self._box_loss = implementation(recipe.box_loss)
        self._assign = implementation(recipe.assignment)
        self._sample = None if recipe.sampling is None else implementation(recipe.sampling)
        self._assign_regions = implementation(recipe.region_assignment)
        self._sample_regions, self._regions = implementation(recipe.region_sampling), recipe.region_sampling.number
        self._smoothing, self._join = recipe.label_smoothing, join
        self._anchors: dict[tuple[int, int], Tensor] = {}

    def anchors(self, images: Tensor) -> Tensor:
        """Returns the anchors (A, 4) of images (N, C, H, W)."""
        size = (images.shape[2], images.shape[3])
        if size not in self._anchors:
            self._anchors[size] = self._architecture.anchor_boxes(size, images.device)
        return self._anchors[size]

    def __call__(self, found: dict[str, Any], batch: Batch, sampled: bool = True) -> tuple[Tensor, Parts]:
        """Returns the sum of all losses, and each by name.

        Both heads have `class_loss` and `box_loss`, two stages also `objectness_loss` and `proposal_loss`.

        Args:
            found: What the network returned in train mode.
            batch: Its images and boxes.
            sampled: Whether anchors and proposals are drawn as the recipe says, or all count.
        """
        objects, (logits, deltas) = objects_of(batch), found["out"]
        anchors = self.anchors(batch.images)
        if self._head.stages == 1:
            names = ("class_loss", "box_loss")
            pair = self._of_anchors(logits, deltas, anchors, objects, self._head.delta_weights, sampled)
            parts = dict(zip(names, pair, strict=True))
        else:
            one = objects._replace(classes=torch.zeros_like(objects.classes))
            weights = self._head.proposal_weights
            pair = self._of_anchors(logits.unsqueeze(-1), deltas, anchors, one, weights, sampled)
            parts = dict(zip(("objectness_loss", "proposal_loss"), pair, strict=True))
            pair = self._of_regions(found, objects, sampled)
            parts |= dict(zip(("class_loss", "box_loss"), pair, strict=True))
        loss = torch.stack(list(parts.values())).sum() if self._join is None or not sampled else self._join(parts)
        return loss, {name: value.detach() for name, value in parts.items()}

    def _of_anchors(
        self, logits: Tensor, deltas: Tensor, anchors: Tensor, objects: Objects, weights: Sequence[float], sampled: bool
    ) -> tuple[Tensor, Tensor]:
        """Losses of classes, each by itself, and of boxes; logits are (N, A, K), deltas (N, A, 4)."""
        assigned = self._assign(anchors, objects.boxes, objects.counts, objects.ignored)
        draws = sampled and self._sample is not None
        counted = self._sample(assigned.state) if draws and self._sample is not None else assigned.state != IGNORED
        chosen = _chosen(assigned, counted, objects)
        targets = torch.zeros_like(logits, dtype=torch.float32)
        # Whether there is an object at all, in the first of two stages, is no choice among classes.
        right, wrong = 1.0, 0.0
        if self._smoothing is not None and self._head.stages == 1:
            right, wrong = weights_of(self._smoothing, logits.shape[-1])
            targets[chosen.rows, chosen.places] = wrong
        targets[chosen.rows, chosen.places, objects.classes[chosen.rows, chosen.objects]] = right
        each = sigmoid_focal(logits, targets, self._gamma, self._alpha).sum(-1)
        # Anchors without an object are so many that only those with one tell how much there is to learn.
        count = counted.sum() if draws else chosen.weights.sum()
        classes = (each * _weights(counted, chosen)).sum() / count.clamp(min=1)
        return classes, self._of_boxes(deltas, anchors[chosen.places], objects, chosen, weights)

    def _of_regions(self, found: dict[str, Any], objects: Objects, sampled: bool) -> tuple[Tensor, Tensor]:
        """Losses of the second stage: cross-entropy of the classes and the background, and of boxes."""
        # A network that diverged still gets boxes, so that its loss can say so.
        regions = found["proposals"].nan_to_num()
        if sampled:
            regions = torch.cat([regions, objects.boxes], 1)
        assigned = self._assign_regions(regions, objects.boxes, objects.counts, objects.ignored)
        counted = assigned.state != IGNORED
        if sampled:
            padding = F.pad(~objects.counts, (regions.shape[1] - objects.counts.shape[1], 0))
            state = assigned.state.masked_fill(padding, IGNORED)
            counted = self._sample_regions(state)
            places = counted.int().topk(min(self._regions, regions.shape[1]), dim=1).indices
            regions = regions.gather(1, places.unsqueeze(-1).expand(-1, -1, 4))
            counted = counted.gather(1, places)
            assigned = Assigned(state.gather(1, places), assigned.index.gather(1, places))
        chosen = _chosen(assigned, counted, objects)
        logits, deltas = self._network.roi_outputs(found["pyramid"], regions)
        labels = torch.full_like(assigned.index, logits.shape[-1] - 1)
        labels[chosen.rows, chosen.places] = objects.classes[chosen.rows, chosen.objects]
        scores = logits.float().transpose(1, 2)
        if self._smoothing is None:
            each = F.cross_entropy(scores, labels, reduction="none")
        else:
            each = smoothed_cross_entropy(scores, labels, weights_of(self._smoothing, scores.shape[1]))
        classes = (each * _weights(counted, chosen)).sum() / counted.sum().clamp(min=1)
        starts = regions[chosen.rows, chosen.places]
        return classes, self._of_boxes(deltas, starts, objects, chosen, self._head.delta_weights)

    def _of_boxes(
        self, deltas: Tensor, starts: Tensor, objects: Objects, chosen: Chosen, weights: Sequence[float]
    ) -> Tensor:
        """The mean loss of the boxes of candidates with objects, which start at `starts` (n, 4)."""
        predicted = deltas[chosen.rows, chosen.places].float()
        each = self._box_loss(predicted, objects.boxes[chosen.rows, chosen.objects], starts, weights)
        mean: Tensor = (each * chosen.weights).sum() / chosen.weights.sum().clamp(min=1)
        return mean


def _chosen(assigned: Assigned, counted: Tensor, objects: Objects) -> Chosen:
    rows, places = ((assigned.state == OBJECT) & counted).nonzero(as_tuple=True)
    which = assigned.index[rows, places]
    return Chosen(rows, places, which, objects.weights[rows, which])


def _weights(counted: Tensor, chosen: Chosen) -> Tensor:
    """The weight of each candidate's class, (N, A)."""
    return counted.float().index_put((chosen.rows, chosen.places), chosen.weights)
