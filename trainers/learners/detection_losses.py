"""What a detector's outputs cost, whatever its head; whole padded batches at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.architectures.detector import Detector
from search_spaces.blocks.cascade import HybridCascade, RegionHead
from search_spaces.blocks.detection import DetectionHead, Guided, Reading, Scores
from search_spaces.networks.detection import Answer, first_answer
from search_spaces.recipe import Focal
from trainers.tricks.assignment import IGNORED, OBJECT, Assigned
from trainers.tricks.batch import Batch
from trainers.tricks.cascade import mask_loss, semantic_loss
from trainers.tricks.loss import Weights, sigmoid_focal, smoothed_cross_entropy, weights_of
from trainers.tricks.objects import Chosen, Objects, objects_of
from trainers.tricks.registry import implementation

if TYPE_CHECKING:
    from trainers.tasks.detection import DetectionModel

Parts = dict[str, Tensor]


def loss_names(head: DetectionHead) -> dict[str, bool]:
    """Returns the names of the losses that a head has, and whether each is of a regression, as errors of boxes are."""
    names = {"class_loss": False, "box_loss": True}
    if len(head.readings()) > 1:
        names = {"objectness_loss": False, "proposal_loss": True, **names}
    if isinstance(head.rpn if isinstance(head, RegionHead) else head, Guided):
        names |= {"location_loss": False, "shape_loss": True}
    if isinstance(head, HybridCascade):
        own = {"mask_loss": head.masks, "semantic_loss": head.semantic}
        names |= {name: False for name, wanted in own.items() if wanted}
    return names


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
        self._network, self._recipe = network, recipe
        self._readings = spec.architecture.head.readings()
        focal = recipe.loss if isinstance(recipe.loss, Focal) else Focal(gamma=0.0, alpha=None)
        self._gamma, self._alpha = focal.gamma, focal.alpha
        self._box_loss = implementation(recipe.box_loss)
        self._assign = implementation(recipe.assignment)
        self._sample = None if recipe.sampling is None else implementation(recipe.sampling)
        self._guided, cascade = implementation(recipe.guided), implementation(recipe.cascade)
        self._plans = [cascade(stage) for stage in range(len(self._readings) - 1)]
        self._assign_regions = [implementation(recipe.region_assignment.raised(plan.raised)) for plan in self._plans]
        self._sample_regions, self._regions = implementation(recipe.region_sampling), recipe.region_sampling.number
        self._smoothing, self._join = recipe.label_smoothing, join

    def __call__(self, found: dict[str, Any], batch: Batch, sampled: bool = True) -> tuple[Tensor, Parts]:
        """Returns the sum of all losses, and each by name.

        Every head has `class_loss` and `box_loss`, those that look at regions, too, `objectness_loss` and
        `proposal_loss`; others are named after what they are of.

        Args:
            found: What the network returned in train mode.
            batch: Its images and boxes.
            sampled: Whether anchors and proposals are drawn as the recipe says, or all count.
        """
        objects = objects_of(batch)
        answer, reading = first_answer(found), self._readings[0]
        if len(self._readings) == 1:
            pair = self._of_anchors(answer, objects, reading, sampled)
            parts = dict(zip(("class_loss", "box_loss"), pair, strict=True))
        else:
            one = objects._replace(classes=torch.zeros_like(objects.classes))
            pair = self._of_anchors(answer, one, reading, sampled)
            parts = dict(zip(("objectness_loss", "proposal_loss"), pair, strict=True))
            parts |= self._of_stages(found, objects, batch, sampled)
        if "location" in found:
            parts |= self._guided(self._assign, found, objects)
        if "semantic" in found:
            parts["semantic_loss"] = self._recipe.cascade.semantic * semantic_loss(found["semantic"], objects, batch)
        loss = torch.stack(list(parts.values())).sum() if self._join is None or not sampled else self._join(parts)
        return loss, {name: value.detach() for name, value in parts.items()}

    def _of_anchors(self, answer: Answer, objects: Objects, reading: Reading, sampled: bool) -> tuple[Tensor, Tensor]:
        """Losses of the classes of all anchors, and of the boxes of those with objects."""
        assigned = self._assign(answer.starts, objects.boxes, objects.counts, objects.ignored)
        chosen = objects.chosen(assigned, assigned.state == OBJECT)
        each = self._of_classes(answer.logits, reading.scores, chosen, objects)
        draws = sampled and self._sample is not None
        counted = assigned.state != IGNORED
        if draws and self._sample is not None:
            counted = self._sample(assigned.state, each.detach())
            chosen = objects.chosen(assigned, counted)
        # Anchors without an object are so many that only those with one tell how much there is to learn.
        over_all = draws and not (self._recipe.sampling and self._recipe.sampling.mean_of_objects)
        count = counted.sum() if over_all else chosen.weights.sum()
        classes = (each * _weights(counted, chosen)).sum() / count.clamp(min=1)
        return classes, self._of_boxes(answer, objects, chosen, reading)

    def _of_classes(self, logits: Tensor, scores: Scores, there: Chosen, objects: Objects) -> Tensor:
        """The loss of the classes of every candidate, (N, A), of which `there` are to find objects."""
        right = objects.classes[there.rows, there.objects]
        # Whether there is an object at all, before stages that tell which, is no choice among classes.
        smoothing = self._smoothing if len(self._readings) == 1 else None
        if scores == "softmax":
            labels = torch.full(logits.shape[:2], logits.shape[2] - 1, device=logits.device)
            labels[there.rows, there.places] = right
            smoothed = None if smoothing is None else weights_of(smoothing, logits.shape[2])
            return softmax_focal(logits, labels, self._gamma, self._alpha, smoothed)
        first = int(scores == "objectness")
        sure, wrong = (1.0, 0.0) if smoothing is None else weights_of(smoothing, logits.shape[2] - first)
        targets = torch.zeros_like(logits, dtype=torch.float32)
        targets[there.rows, there.places] = wrong
        targets[there.rows, there.places, first + right] = sure
        if scores == "sigmoid":
            return sigmoid_focal(logits, targets, self._gamma, self._alpha).sum(-1)
        # Whether there is an object is asked everywhere, of which class it is where there is one.
        targets[there.rows, there.places, 0] = 1.0
        each = sigmoid_focal(logits[..., 0], targets[..., 0], self._gamma, self._alpha)
        own = F.binary_cross_entropy_with_logits(logits[..., 1:].float(), targets[..., 1:], reduction="none").sum(-1)
        return each + targets[..., 0] * own

    def _of_stages(self, found: dict[str, Any], objects: Objects, batch: Batch, sampled: bool) -> Parts:
        """The losses of all stages that look at regions, each starting from the boxes of the one before."""
        regions, head = found["proposals"], self._network.head
        parts: Parts = {}
        for stage, reading in enumerate(self._readings[1:]):
            weight = self._plans[stage].weight
            regions, assigned, counted = self._regions_of(regions, objects, stage, sampled)
            chosen = objects.chosen(assigned, counted)
            answer = head.look(found, regions, stage)
            labels = torch.full_like(assigned.index, answer.logits.shape[-1] - 1)
            labels[chosen.rows, chosen.places] = objects.classes[chosen.rows, chosen.objects]
            each = self._of_labels(answer.logits, labels)
            classes = (each * _weights(counted, chosen)).sum() / counted.sum().clamp(min=1)
            losses = {"class_loss": classes, "box_loss": self._of_boxes(answer, objects, chosen, reading)}
            before, regions = regions, head.moved(found, answer, stage)
            if getattr(head, "masks", None) is not None:
                shown = regions if head.interleaved else before
                losses["mask_loss"] = self._of_masks(found, shown, chosen, objects, batch, stage)
            for name, loss in losses.items():
                parts[name] = parts[name] + weight * loss if name in parts else loss
        return parts

    def _of_labels(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The cross-entropy of every region, (N, P)."""
        scores = logits.float().transpose(1, 2)
        if self._smoothing is None:
            return F.cross_entropy(scores, labels, reduction="none")
        return smoothed_cross_entropy(scores, labels, weights_of(self._smoothing, scores.shape[1]))

    def _of_masks(
        self, found: dict[str, Any], boxes: Tensor, chosen: Chosen, objects: Objects, batch: Batch, stage: int
    ) -> Tensor:
        """The loss of the masks of a stage, 0 for images that are blends, of which none says what a pixel shows."""
        if batch.instances is None:
            return boxes.new_zeros(())
        predict = functools.partial(self._network.head.mask_logits, found, stage=stage)
        return self._recipe.cascade.mask * mask_loss(predict, boxes, chosen, objects, batch.instances)

    def _regions_of(
        self, regions: Tensor, objects: Objects, stage: int, sampled: bool
    ) -> tuple[Tensor, Assigned, Tensor]:
        """Regions that a stage learns from, what each is to find, and which of them count."""
        if sampled:
            regions = torch.cat([regions, objects.boxes], 1)
        assigned = self._assign_regions[stage](regions, objects.boxes, objects.counts, objects.ignored)
        if not sampled:
            return regions, assigned, assigned.state != IGNORED
        padding = F.pad(~objects.counts, (regions.shape[1] - objects.counts.shape[1], 0))
        state = assigned.state.masked_fill(padding, IGNORED)
        counted = self._sample_regions(state)
        places = counted.int().topk(min(self._regions, regions.shape[1]), dim=1).indices
        regions = regions.gather(1, places.unsqueeze(-1).expand(-1, -1, 4))
        return regions, Assigned(state.gather(1, places), assigned.index.gather(1, places)), counted.gather(1, places)

    def _of_boxes(self, answer: Answer, objects: Objects, chosen: Chosen, reading: Reading) -> Tensor:
        """The mean loss of the boxes of candidates with objects."""
        predicted = answer.deltas[chosen.rows, chosen.places].float()
        fixed = answer.starts.ndim == 2
        starts = answer.starts[chosen.places] if fixed else answer.starts[chosen.rows, chosen.places]
        each = self._box_loss(predicted, objects.boxes[chosen.rows, chosen.objects], starts, reading.weights)
        mean: Tensor = (each * chosen.weights).sum() / chosen.weights.sum().clamp(min=1)
        return mean


def softmax_focal(
    logits: Tensor, labels: Tensor, gamma: float, alpha: float | None, weights: Weights | None = None
) -> Tensor:
    """Returns the focal loss of one choice among classes and the background, the last of them, one value each.

    Args:
        logits: (N, A, K + 1).
        labels: (N, A).
        gamma: How much easy ones are played down.
        alpha: Weight of objects against 1 - alpha of background; None: both 1.
        weights: Of the label and of each other choice, where labels are smoothed; None: 1 and 0.

    Paper: Lin et al., 2017, 1708.02002, equation 5, with the softmax's probability of the label.
    """
    logs = F.log_softmax(logits.float(), dim=-1)
    if weights is None:
        logs = logs.gather(-1, labels.unsqueeze(-1))
    # 1 - p may come out below 0, by rounding, and its power has no gradient at 0.
    each = -logs if gamma == 0 else -logs * (1 - logs.exp()).clamp(min=1e-7) ** gamma
    if weights is None:
        each = each.squeeze(-1)
    else:
        right, wrong = weights
        own = each.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
        each = wrong * each.sum(-1) + (right - wrong) * own
    if alpha is None:
        return each
    return each * torch.where(labels == logits.shape[-1] - 1, 1 - alpha, alpha)


def _weights(counted: Tensor, chosen: Chosen) -> Tensor:
    """The weight of each candidate's class, (N, A)."""
    return counted.float().index_put((chosen.rows, chosen.places), chosen.weights)
