import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from search_spaces.blocks.cascade import Cascade, HybridCascade, TwoStage
from search_spaces.blocks.detection import DetectionHead, Guided, Ssd, Yolo
from search_spaces.blocks.regions import RoiAlign
from search_spaces.networks.detection import Answer
from search_spaces.operators.boxes import decode, encode, iou_matrix
from search_spaces.recipe import (
    BalancedSampling,
    CascadeLoss,
    Giou,
    GuidedLoss,
    HardNegatives,
    IouAssignment,
    LabelSmoothing,
    SmoothL1,
    UncertaintyWeighting,
)
from tests.trainers.detectors import CASCADE, GUIDED, ONE, TWO, model, scenes
from trainers.determinism import Generators
from trainers.learners.detection import DetectionLearner
from trainers.learners.detection_losses import DetectionLosses, loss_names, softmax_focal
from trainers.tricks.batch import Batch
from trainers.tricks.loss import sigmoid_focal
from trainers.tricks.objects import objects_of

IMAGES = torch.zeros(2, 3, 32, 32)
# One object in the first image, none in the second; a place of padding in both.
BOXES = torch.tensor([[[4.0, 4, 16, 16], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]])
CLASSES = torch.tensor([[2, -1], [-1, -1]])
BATCH = Batch(IMAGES, boxes=BOXES, classes=CLASSES)
ANCHORS = 3 * 8 * 8


def _losses(**recipe: object) -> DetectionLosses:
    spec = model(ONE, **{"assignment": IouAssignment(positive=0.6, negative=0.4), **recipe})
    return DetectionLosses(spec, None)


STARTS = model(ONE).architecture.anchor_boxes((32, 32))  # type: ignore[attr-defined]


def _outputs(seed: int = 0, logits: int = 5) -> dict[str, object]:
    with Generators(seed):
        return {"out": (torch.randn(2, ANCHORS, logits), 0.1 * torch.randn(2, ANCHORS, 4)), "starts": STARTS}


def test_the_loss_is_the_sum_over_anchors_by_hand() -> None:
    losses, found = _losses(box_loss=SmoothL1(weight=2.0)), _outputs()
    loss, parts = losses(found, BATCH)
    logits, deltas = found["out"]  # type: ignore[misc]
    anchors = STARTS
    low, high = torch.maximum(anchors[:, :2], BOXES[0, 0, :2]), torch.minimum(anchors[:, 2:], BOXES[0, 0, 2:])
    common = (high - low).clamp(min=0).prod(1)
    iou = common / (144 + (anchors[:, 2:] - anchors[:, :2]).prod(1) - common)
    found_by = (iou >= 0.6) | (iou == iou.max())
    counted = found_by | (iou < 0.4)
    assert 0 < found_by.sum() < counted.sum() < ANCHORS
    targets = torch.zeros(2, ANCHORS, 5)
    targets[0, found_by, 2] = 1
    each = sigmoid_focal(logits, targets, 2.0, 0.25).sum(2)
    count = found_by.sum()
    assert parts["class_loss"].item() == pytest.approx(
        ((each[0] * counted).sum() + each[1].sum()).item() / count.item()
    )
    right = encode(BOXES[0, 0].expand(int(count), 4), anchors[found_by])
    assert parts["box_loss"].item() == pytest.approx(
        2 * F.smooth_l1_loss(deltas[0, found_by], right, reduction="sum").item() / count.item()
    )
    assert loss.item() == pytest.approx(sum(value.item() for value in parts.values()))


def test_cross_entropy_is_what_focal_loss_is_without_its_factors() -> None:
    losses, found = _losses(loss=None, sampling=BalancedSampling(number=256, positive=0.5)), _outputs()
    zero = found | {"out": (torch.zeros(2, ANCHORS, 5), found["out"][1])}  # type: ignore[index]
    counted = sum(int(losses._assign(STARTS, BOXES, CLASSES >= 0, None).state[i].ge(0).sum()) for i in (0, 1))
    assert counted < 2 * ANCHORS
    # Each of five classes costs ln 2 for each anchor that counts.
    assert losses(zero, BATCH)[1]["class_loss"].item() == pytest.approx(5 * math.log(2))


def test_h01_targets_of_anchors_with_an_object_are_smoothed() -> None:
    smoothing = LabelSmoothing(epsilon=0.1)
    losses, found = _losses(label_smoothing=smoothing), _outputs()
    logits, _ = found["out"]  # type: ignore[misc]
    state = losses._assign(STARTS, BOXES, CLASSES >= 0, None).state
    targets = torch.zeros(2, ANCHORS, 5)
    # An epsilon of 0.1 over five classes; anchors of the background stay certain.
    targets[state == 1] = torch.tensor([0.02, 0.02, 0.92, 0.02, 0.02])
    each = sigmoid_focal(logits, targets, 2.0, 0.25).sum(2) * (state != -1)
    count = (state == 1).sum()
    assert losses(found, BATCH)[1]["class_loss"].item() == pytest.approx((each.sum() / count).item(), rel=1e-5)
    assert losses(found, BATCH)[1]["box_loss"].item() == _losses()(found, BATCH)[1]["box_loss"].item()


def test_h01_a_second_stage_smooths_over_the_background_too_and_the_first_does_not() -> None:
    plain, smoothed = (model(TWO, label_smoothing=smoothing) for smoothing in (None, LabelSmoothing(epsilon=0.3)))
    parts = []
    for spec in (plain, smoothed):
        with Generators(0):
            network = spec.architecture.build((3, 32, 32), 5)
            outputs = network(IMAGES)
            scores = torch.randn(2, 16, 6)
            network.head.look = lambda found, boxes, stage, s=scores: Answer(s, torch.zeros(*boxes.shape), boxes)
            parts.append(
                DetectionLosses(spec, network)(
                    outputs, replace(BATCH, classes=torch.full_like(CLASSES, -1)), sampled=False
                )[1]
            )
    assert parts[0]["objectness_loss"].item() == parts[1]["objectness_loss"].item()
    background = torch.full((2, 16), 5)
    for found, epsilon in zip(parts, (0.0, 0.3), strict=True):
        expected = F.cross_entropy(scores.transpose(1, 2), background, label_smoothing=epsilon)
        assert found["class_loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_h01_one_choice_with_the_background_is_smoothed_everywhere() -> None:
    spec = model(Ssd(), label_smoothing=LabelSmoothing(epsilon=0.3), loss=None, assignment=IouAssignment(positive=0.6))
    losses, found = DetectionLosses(spec, None), _outputs(logits=6)
    logits, _ = found["out"]  # type: ignore[misc]
    state = losses._assign(STARTS, BOXES, CLASSES >= 0, None).state
    labels = torch.where(state == 1, 2, 5)
    each = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none", label_smoothing=0.3)
    expected = each[state >= 0].sum() / (state == 1).sum()
    assert losses(found, BATCH)[1]["class_loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_h01_smoothed_focal_loss_plays_down_each_choice_by_itself() -> None:
    with Generators(0):
        logits, labels = torch.randn(2, 7, 4), torch.randint(0, 4, (2, 7))
    p, target = logits.softmax(-1), torch.full((2, 7, 4), 0.1).scatter(-1, labels.unsqueeze(-1), 0.7)
    expected = (-target * (1 - p) ** 2 * p.log()).sum(-1) * torch.where(labels == 3, 0.75, 0.25)
    assert torch.allclose(softmax_focal(logits, labels, 2.0, 0.25, (0.7, 0.1)), expected, atol=1e-6)


def test_h01_whether_there_is_an_object_is_not_smoothed() -> None:
    spec = model(Yolo(hidden=8), loss=None, label_smoothing=LabelSmoothing(epsilon=0.1))
    losses, found = DetectionLosses(spec, None), _outputs(logits=6)
    logits, _ = found["out"]  # type: ignore[misc]
    state = losses._assign(STARTS, BOXES, CLASSES >= 0, None).state
    there = state == 1
    objects = F.binary_cross_entropy_with_logits(logits[..., 0], there.float(), reduction="none")[state >= 0].sum()
    right = torch.tensor([0.02, 0.02, 0.92, 0.02, 0.02]).expand(int(there.sum()), 5)
    classes = F.binary_cross_entropy_with_logits(logits[there][:, 1:], right, reduction="sum")
    expected = ((objects + classes) / there.sum()).item()
    assert losses(found, BATCH)[1]["class_loss"].item() == pytest.approx(expected, rel=1e-5)


SMALL_MASKS = {"semantic_depth": 1, "masks": True, "mask_depth": 1, "mask_width": 4, "mask_size": 4}
MASKED = HybridCascade(**{name: value for name, value in dict(CASCADE).items() if name != "kind"}, **SMALL_MASKS)
PROPOSED = TwoStage(**{name: value for name, value in dict(TWO).items() if name not in ("kind", "rpn")}, rpn=GUIDED)


@pytest.mark.parametrize("head", [ONE, TWO, GUIDED, PROPOSED, CASCADE, MASKED])
def test_h16_losses_are_joined_by_learned_weights_and_those_of_boxes_are_regressions(head: DetectionHead) -> None:
    spec = model(head, uncertainty=UncertaintyWeighting(initial=0.5))
    with Generators(0):
        learner = DetectionLearner(spec, scenes(), 0, "cpu")
        batch = learner.batch(learner.sampler.next())
        outputs = learner.network(batch.images)
    with Generators(1):
        loss, parts = learner._losses(outputs, batch)
    expected = 0.0
    for name, value in parts.items():
        part = value.item() / math.e**0.5 + 0.5
        expected += part / 2 if name in ("box_loss", "proposal_loss", "shape_loss") else part
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    with torch.no_grad():
        judged, parts = learner._losses(outputs, batch, sampled=False)
    assert judged.item() == pytest.approx(sum(value.item() for value in parts.values()), rel=1e-5)
    # Images that are blends do not say what a pixel shows.
    blended, parts = learner._losses(outputs, replace(batch, instances=None))
    assert blended.isfinite() and set(parts) == set(loss_names(head))
    loss.backward()
    assert learner.extra is not None and all(weight.grad is not None for weight in learner.extra.parameters())
    assert len(learner.state_dict()["extra"]["uncertainty.log_variance"]) == len(parts)


def test_right_outputs_cost_nothing() -> None:
    losses = _losses(box_loss=Giou())
    anchors, objects = STARTS, objects_of(BATCH)
    assigned = losses._assign(anchors, objects.boxes, objects.counts, None)
    logits = torch.full((2, ANCHORS, 5), -40.0)
    logits[0, assigned.state[0] == 1, 2] = 40.0
    deltas = encode(BOXES[0, 0].expand(ANCHORS, 4), anchors).expand(2, -1, -1)
    loss, parts = losses({"out": (logits, deltas), "starts": anchors}, BATCH)
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert losses({"out": (logits.roll(1, 2), deltas), "starts": anchors}, BATCH)[0].item() > 10
    assert torch.allclose(decode(deltas[0, :5], anchors[:5]), BOXES[0, 0].expand(5, 4), atol=1e-4)


def test_an_object_of_weight_0_does_not_count_and_its_anchors_are_ignored() -> None:
    losses, found = _losses(), _outputs()
    _, (logits, _) = None, found["out"]  # type: ignore[misc]
    ignored = replace(BATCH, weights=torch.tensor([[0.0, 1], [1, 1]]))
    none = replace(BATCH, classes=torch.full_like(CLASSES, -1))
    with_none, with_ignored = losses(found, none)[1], losses(found, ignored)[1]
    assert with_ignored["box_loss"].item() == with_none["box_loss"].item() == 0
    assert 0 < with_ignored["class_loss"].item() < with_none["class_loss"].item()
    logits.requires_grad_()
    losses(found, ignored)[0].backward()
    anchors, inside = STARTS, torch.tensor([4.0, 4, 16, 16])
    covered = ((anchors >= inside - 0.01) | (torch.arange(4) > 1)).all(1) & (anchors[:, 2:] <= 16.01).all(1)
    assert covered.any() and not logits.grad[0, covered].any() and logits.grad[1].all()


def test_weights_of_boxes_weigh_their_losses() -> None:
    losses, found = _losses(), _outputs()
    two = Batch(
        IMAGES, boxes=torch.tensor([[[4.0, 4, 16, 16]], [[12.0, 12, 24, 24]]]), classes=torch.tensor([[2], [1]])
    )
    whole = losses(found, two)[1]["box_loss"].item()
    first, second = (
        losses(found, replace(two, weights=torch.tensor([[a], [b]])))[1]["box_loss"].item()
        for a, b in ((1.0, 0), (0, 1.0))
    )
    assert whole == pytest.approx((first + second) / 2)
    mixed = losses(found, replace(two, weights=torch.tensor([[0.75], [0.25]])))[1]["box_loss"].item()
    assert mixed == pytest.approx(0.75 * first + 0.25 * second)


def test_a_batch_without_objects_has_a_loss_to_learn_from() -> None:
    for head in (ONE, TWO):
        spec = model(head)
        with Generators(0):
            network = spec.architecture.build((3, 32, 32), 5)
            losses = DetectionLosses(spec, network)
            loss, parts = losses(network(IMAGES), replace(BATCH, classes=torch.full_like(CLASSES, -1)))
        loss.backward()
        assert loss.item() > 0 and parts["box_loss"].item() == 0
        assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_the_second_stage_learns_from_proposals_and_objects() -> None:
    spec = model(TWO, region_sampling=BalancedSampling(number=8, positive=0.25))
    with Generators(0):
        network = spec.architecture.build((3, 32, 32), 5)
        losses = DetectionLosses(spec, network)
        outputs = network(IMAGES)
        # None of the proposals meets the object, so that it is the only one that is positive.
        outputs["proposals"] = torch.tensor([[20.0, 20, 30, 30]]).expand(2, 16, 4)
        seen: list[torch.Tensor] = []

        def look(found: dict[str, object], boxes: torch.Tensor, stage: int) -> Answer:
            seen.append(boxes)
            return Answer(torch.zeros(2, 8, 6), torch.zeros(2, 8, 4), boxes)

        network.head.look = look
        loss, parts = losses(outputs, BATCH)
    assert set(parts) == {"objectness_loss", "proposal_loss", "class_loss", "box_loss"}
    assert seen[0].shape == (2, 8, 4)
    assert (seen[0] == BOXES[0, 0]).all(2).sum(1).tolist() == [1, 0]
    assert not (seen[0] == 0).all(2).any(), "padding was drawn"
    assert parts["class_loss"].item() == pytest.approx(math.log(6))
    # The object as a proposal has its box already.
    assert parts["box_loss"].item() == pytest.approx(0, abs=1e-6)


def test_outputs_that_are_not_finite_make_the_loss_say_so() -> None:
    spec = model(TWO)
    with Generators(0):
        network = spec.architecture.build((3, 32, 32), 5)
        for weights in network.parameters():
            weights.data.fill_(math.nan)
        loss, _ = DetectionLosses(spec, network)(network(IMAGES), BATCH)
    assert loss.isnan()


def test_focal_loss_of_one_choice_is_cross_entropy_times_its_factors() -> None:
    with Generators(0):
        logits = torch.randn(2, 7, 4)
    labels = torch.tensor([[0, 1, 2, 3, 3, 3, 0], [3] * 7])
    plain = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(2, 7)
    assert torch.allclose(softmax_focal(logits, labels, 0.0, None), plain)
    p = logits.softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    weights = torch.where(labels == 3, 0.75, 0.25)
    assert torch.allclose(softmax_focal(logits, labels, 2.0, 0.25), weights * (1 - p) ** 2 * plain, atol=1e-6)


def test_f03_one_choice_among_classes_and_background_with_hard_negatives() -> None:
    spec = model(Ssd(), loss=None, sampling=HardNegatives(ratio=3.0, least=2), assignment=IouAssignment(positive=0.6))
    losses, found = DetectionLosses(spec, None), _outputs(logits=6)
    _, parts = losses(found, BATCH)
    logits, _ = found["out"]  # type: ignore[misc]
    state = losses._assign(STARTS, BOXES, CLASSES >= 0, None).state
    labels = torch.where(state == 1, 2, 5)
    each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(2, -1)
    objects = int((state == 1).sum())
    background = each.masked_fill(state != 0, -1).sort(1, descending=True).values
    expected = each[state == 1].sum() + background[0, : 3 * objects].sum() + background[1, :2].sum()
    assert objects > 0 and parts["class_loss"].item() == pytest.approx((expected / objects).item(), rel=1e-5)
    # Where all anchors count, they do.
    every = losses(found, BATCH, sampled=False)[1]["class_loss"].item()
    assert every == pytest.approx((each[state >= 0].sum() / objects).item(), rel=1e-5)


def test_f04_whether_there_is_an_object_and_then_of_which_class() -> None:
    spec = model(Yolo(hidden=8), loss=None, assignment=IouAssignment(positive=0.6))
    losses, found = DetectionLosses(spec, None), _outputs(logits=6)
    _, parts = losses(found, BATCH)
    logits, _ = found["out"]  # type: ignore[misc]
    state = losses._assign(STARTS, BOXES, CLASSES >= 0, None).state
    there = state == 1
    objects = F.binary_cross_entropy_with_logits(logits[..., 0], there.float(), reduction="none")[state >= 0].sum()
    right = torch.eye(5)[2].expand(int(there.sum()), 5)
    classes = F.binary_cross_entropy_with_logits(logits[there][:, 1:], right, reduction="sum")
    assert parts["class_loss"].item() == pytest.approx(((objects + classes) / there.sum()).item(), rel=1e-5)


def _cascade(
    head: DetectionHead, batch: Batch = BATCH, **recipe: object
) -> tuple[Any, dict[str, Any], dict[str, float]]:
    spec = model(head, **recipe)
    with Generators(0):
        network = spec.architecture.build((3, 32, 32), 5)
        found = network(IMAGES)
        _, parts = DetectionLosses(spec, network)(found, batch, sampled=False)
    return network, found, {name: value.item() for name, value in parts.items()}


STAGES = {"candidates": 48, "proposals": 16, "hidden": 24, "pooling": RoiAlign(size=3, sampling=1)}


def test_f10_the_losses_of_later_stages_weigh_less_and_want_more() -> None:
    _, _, one = _cascade(Cascade(**STAGES, stages=1))  # type: ignore[arg-type]
    network, found, two = _cascade(Cascade(**STAGES, stages=2), cascade=CascadeLoss(decay=0.25, step=0.2))  # type: ignore[arg-type]
    assert set(one) == set(two) == {"objectness_loss", "proposal_loss", "class_loss", "box_loss"}
    # The weights of the first stage are drawn first, and so are the same.
    assert (one["objectness_loss"], one["proposal_loss"]) == (two["objectness_loss"], two["proposal_loss"])
    first = network.head.look(found, found["proposals"], 0)
    boxes = network.head.moved(found, first, 0)
    second = network.head.look(found, boxes, 1)
    overlap = iou_matrix(boxes, BOXES[:, :1]).squeeze(-1)
    overlap[1] = 0
    labels = torch.where(overlap >= 0.7, 2, 5)
    expected = F.cross_entropy(second.logits.flatten(0, 1), labels.flatten())
    assert two["class_loss"] == pytest.approx(one["class_loss"] + 0.25 * expected.item(), rel=1e-4)


def test_f11_a_semantic_branch_and_masks_have_losses_of_their_own() -> None:
    shown = torch.zeros(2, 32, 32, dtype=torch.int64)
    shown[0, 4:16, 4:16] = 1
    small = {"semantic_depth": 1, "mask_depth": 1, "mask_width": 4, "mask_size": 4}
    batch = replace(BATCH, instances=shown)
    head = HybridCascade(**STAGES, **small, stages=1, masks=True)  # type: ignore[arg-type]
    low = IouAssignment(positive=0.1, negative=0.1, low_quality=False)
    network, found, parts = _cascade(head, batch, region_assignment=low, cascade=CascadeLoss(semantic=0.5, mask=3.0))
    labels = F.interpolate(torch.where(shown == 1, 2, 5)[:, None].float(), size=(8, 8)).squeeze(1).long()
    expected = F.cross_entropy(found["semantic"], labels)
    assert parts["semantic_loss"] == pytest.approx(0.5 * expected.item(), rel=1e-5)
    # An untrained mask says nothing: ln 2 a pixel, about.
    assert parts["mask_loss"] == pytest.approx(3 * math.log(2), rel=0.2)
    _, _, without = _cascade(head, BATCH, region_assignment=low)
    assert without["mask_loss"] == 0 and without["semantic_loss"] > 0


def test_f05_a_guided_head_learns_where_and_in_which_shape() -> None:
    for head in (Guided(depth=0, scale=4.0), TwoStage(**STAGES, rpn=Guided(depth=0))):  # type: ignore[arg-type]
        _, _, parts = _cascade(head, guided=GuidedLoss(shape=2.0))
        _, _, half = _cascade(head, guided=GuidedLoss(shape=1.0))
        assert parts["location_loss"] == half["location_loss"] > 0
        assert parts["shape_loss"] == pytest.approx(2 * half["shape_loss"]) and half["shape_loss"] > 0
