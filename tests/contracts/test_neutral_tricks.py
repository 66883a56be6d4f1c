"""What is off is off: a recipe without tricks is a training loop of a few lines, and a trick at its neutral setting
changes no bit of it."""

import functools
import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from search_spaces.networks.recurrent import detached
from search_spaces.recipe import (
    L1,
    BalanceClasses,
    BatchNorm,
    BoundaryFocal,
    ClipGradients,
    Color,
    Constant,
    ConstantWarmup,
    CopyPaste,
    Cosine,
    CosineRestarts,
    Crop,
    Cutout,
    DeepSupervision,
    DetectionMixup,
    DiouNms,
    Distillation,
    Dropout,
    DropPath,
    DualTask,
    EarlyStopping,
    EasyFirst,
    EdgeLoss,
    Ema,
    Erasing,
    Flip,
    Focal,
    GradualWarmup,
    HardNegatives,
    HardNms,
    HolisticDistillation,
    IouCrop,
    LabelSmoothing,
    LooseAssignment,
    Mixup,
    MultiScale,
    MultiScaleTest,
    MultiStepDecay,
    Normalize,
    OversampleSmall,
    PairwiseDistillation,
    PcaColor,
    Plateau,
    RateScaling,
    ResizedCrop,
    ResolutionStages,
    Ricap,
    Rotation,
    ScaleCompensation,
    SeparateSplits,
    SkipPenalty,
    SoftDistillation,
    SoftNms,
    Staged,
    StepDecay,
    TargetRate,
    TrainedTeacher,
    Trick,
    TwoPhase,
    ZoomOut,
)
from search_spaces.spec import kinds
from tests.contracts.small_tasks import SMALL, small_task
from tests.trainers.examples import timeless
from trainers.data.pictures import IGNORE
from trainers.layout import channels_last

CONSTANT = {"schedule": Constant()}
EVERYTHING = {"suppression": HardNms(threshold=1.0)}
# A trick, and what the recipe without it has in its place.
NEUTRAL: list[tuple[Trick, dict[str, Any]]] = [
    (Normalize(statistics="dataset"), {}),
    (Crop(padding=0.0), {}),
    (ResizedCrop(smallest=1.0, largest=1.0, aspect=1.0), {}),
    (IouCrop(overlaps=()), {}),
    (Flip(p=0.0), {}),
    (Rotation(degrees=0.0), {}),
    (ZoomOut(p=0.0), {}),
    (CopyPaste(small=0.0), {}),
    (Color(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0), {}),
    (PcaColor(sigma=0.0), {}),
    (ResolutionStages(shares=(1.0,)), {}),
    (MultiScale(smallest=1.0, largest=1.0), {}),
    (Erasing(p=0.0), {}),
    (Cutout(length=0.0), {}),
    (Staged(epochs=0.0), {}),
    (EasyFirst(epochs=0.0), {}),
    (SeparateSplits(start=0.0), {}),
    (BalanceClasses(power=0.0), {}),
    (OversampleSmall(ratio=1.0), {}),
    (Mixup(until=0.0), {}),
    (Ricap(until=0.0), {}),
    (DetectionMixup(until=0.0), {}),
    (LabelSmoothing(epsilon=0.0), {}),
    (Dropout(rate=0.0), {}),
    (DropPath(rate=0.0), {}),
    (L1(weight=0.0), {}),
    (BatchNorm(), {}),
    (Ema(decay=0.0), {}),
    (ClipGradients(norm=1e9), {"clip": None}),
    (EarlyStopping(patience=99), {}),
    (GradualWarmup(epochs=0.0), {}),
    (ConstantWarmup(iterations=0), {}),
    (CosineRestarts(cycles=1), {}),
    (Cosine(final=1.0), CONSTANT),
    (StepDecay(epochs=1e9), CONSTANT),
    (MultiStepDecay(milestones=()), CONSTANT),
    (Plateau(patience=99), CONSTANT),
    (Focal(gamma=0.0, alpha=None), {"loss": None}),
    (BoundaryFocal(gamma=0.0, weight=1.0), {"loss": None}),
    (EdgeLoss(weight=0.0), {}),
    (DualTask(boundary=0.0, edge=0.0), {}),
    (DeepSupervision(weight=0.0), {}),
    (TargetRate(weight=0.0), {}),
    (SkipPenalty(weight=0.0), {}),
    (MultiScaleTest(scales=(1.0,), flip=False), {}),
    (SoftNms(form="linear", threshold=1.0, floor=0.0), EVERYTHING),
    (DiouNms(threshold=1.0), EVERYTHING),
    (LooseAssignment(small=0.5), {}),
    (ScaleCompensation(positive=0.5, negative=0.4, low_quality=True, least=1.0), {}),
    (HardNegatives(ratio=1e9, least=10**9), {}),
]
# The same for tricks whose neutral setting depends on the task.
OF_A_TASK: list[type[Trick]] = [
    RateScaling,
    TwoPhase,
    SoftDistillation,
    PairwiseDistillation,
    HolisticDistillation,
]
ALWAYS = "a recipe always has one"
# What has no setting that changes nothing.
NEVER = {
    **dict.fromkeys(("sgd", "adam", "adamw", "adabound", "constant", "hard_nms", "iou_assignment"), ALWAYS),
    **dict.fromkeys(("smooth_l1", "iou", "giou", "diou", "ciou", "guided_loss", "cascade_loss"), ALWAYS),
    **dict.fromkeys(("auto_augment", "rand_augment", "trivial_augment"), "every image gets an operation"),
    **dict.fromkeys(("xavier", "kaiming", "orthogonal"), "weights are always drawn anew"),
    **dict.fromkeys(("arcface", "angular_softmax"), "rows of the classifier have length 1 whatever the margin is"),
    "layer_transfer": "the weights are those of another run",
    "uncertainty_weighting": "its weights are learned",
    "balanced_sampling": "losses are averaged over what was drawn",
    "ensemble": "further networks have a say",
    "weighted_nms": "even the mean of a single box is rounded",
}
# Sums come in another order where targets are probabilities, and where a loss has a further part.
CLOSE: tuple[type[Trick], ...] = (Mixup, Ricap, LabelSmoothing, Focal, BoundaryFocal)
PAIRS = [
    pytest.param(trick, base, task, id=f"{trick.to_data()['kind']}-{task}")
    for trick, base in NEUTRAL
    for task in SMALL
    if task in trick.tasks
]


def _trace(task: str, trick: type[Trick], **recipe: Any) -> list[dict[str, float]]:
    small = small_task(task, trick)
    return [timeless(report.metrics) for report in small.run(small.spec(**recipe), 3)]


_without = functools.cache(_trace)


def test_every_trick_has_a_neutral_setting_or_a_reason_to_have_none() -> None:
    neutral = {str(trick.to_data()["kind"]) for trick, _ in NEUTRAL}
    neutral |= {str(spec.model_fields["kind"].default) for spec in OF_A_TASK}
    assert neutral | set(NEVER) == set(kinds(Trick))
    assert not neutral & set(NEVER)


@pytest.mark.parametrize(("trick", "base", "task"), PAIRS)
def test_at_its_neutral_setting_it_changes_no_bit(trick: Trick, base: dict[str, Any], task: str) -> None:
    small = small_task(task, type(trick))
    found = _trace(task, type(trick), **{**base, small.field(trick): trick})
    _assert_same(found, _without(task, type(trick), **base), isinstance(trick, CLOSE))


def _assert_same(found: list[dict[str, float]], without: list[dict[str, float]], close: bool = False) -> None:
    if close:
        assert found[-1]["val/loss"] == pytest.approx(without[-1]["val/loss"], rel=1e-4)
    else:
        assert found == without


@pytest.mark.parametrize("task", SMALL)
def test_scaling_to_the_batch_in_use_changes_no_bit(task: str) -> None:
    batch = SMALL[task].spec().recipe.batch_size
    _assert_same(_trace(task, RateScaling, scaling=RateScaling(reference=batch)), _without(task, RateScaling))


@pytest.mark.parametrize("task", SMALL)
def test_a_second_phase_that_never_comes_changes_no_bit(task: str) -> None:
    first = SMALL[task].spec().recipe.optimizer
    _assert_same(_trace(task, TwoPhase, optimizer=TwoPhase(first=first, switch=1.0)), _without(task, TwoPhase))


@pytest.mark.parametrize(
    ("spec", "task"),
    [
        pytest.param(spec, task, id=f"{spec.model_fields['kind'].default}-{task}")
        for spec in OF_A_TASK
        for task in SMALL
        if issubclass(spec, Distillation) and task in spec.tasks
    ],
)
def test_a_teacher_without_weight_changes_no_bit(spec: type[Distillation], task: str) -> None:
    off = {"weight": 0.0, "similarity": 0.0, "critic": 0.0}
    teacher = TrainedTeacher(architecture=small_task(task, spec).architecture, epochs=1)
    trick = spec(teachers=(teacher,), **{name: value for name, value in off.items() if name in spec.model_fields})
    _assert_same(_trace(task, spec, distillation=trick), _without(task, spec))


def _loss(task: str, learner: Any, batch: Any, state: list[Any]) -> torch.Tensor:
    """The loss of a batch as a textbook has it; that of boxes and anchors is the learner's own."""
    if task == "detection":
        found: torch.Tensor = learner.loss(batch)[0]
        return found
    if task == "language":
        outputs = learner.network(batch.inputs, None if batch.fresh else state[0])
        state[:] = [detached(outputs["state"])]
        return F.cross_entropy(outputs["out"].flatten(0, 1), batch.targets.flatten())
    logits = learner.network(batch.images)["out"]
    if task == "classification":
        return F.cross_entropy(logits, batch.labels)
    total = F.cross_entropy(logits, batch.masks, ignore_index=IGNORE, reduction="sum")
    return total / (batch.masks != IGNORE).sum()


@pytest.mark.parametrize("task", SMALL)
def test_without_tricks_it_is_a_training_loop_of_a_few_lines(task: str) -> None:
    small = SMALL[task]
    recipe, learner = small.spec().recipe, small.learner()
    channels_last(learner.network, "cpu")
    weights = list(learner.network.parameters())
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": recipe.optimizer.weight_decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer.kind == "sgd":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(
            groups, lr=recipe.optimizer.lr, momentum=0.9, nesterov=True, fused=True
        )
    else:
        optimizer = torch.optim.AdamW(groups, lr=recipe.optimizer.lr, fused=True)
    each = learner.sampler.batches_per_epoch
    learner.sampler.length = 3 * each
    found, state = [], [None]
    torch.set_num_threads(1)
    for epoch in range(3):
        learner.network.train()
        losses = []
        for step in range(epoch * each, (epoch + 1) * each):
            for group in optimizer.param_groups:
                group["lr"] = recipe.optimizer.lr * (0.5 * (1 + math.cos(math.pi * (step / (3 * each)))))
            rows = learner.sampler.next()
            batch = learner.batch(rows)
            if task != "language":
                assert torch.equal(batch.images, learner._train[rows])
            loss = _loss(task, learner, batch, state)
            optimizer.zero_grad()
            loss.backward()
            if recipe.clip is not None:
                torch.nn.utils.clip_grad_norm_(weights, recipe.clip.norm)
            optimizer.step()
            losses.append(loss.item())
        found.append(torch.tensor(losses, dtype=torch.float64).mean().item())
    assert found == [report["train/loss"] for report in _trace(task, Trick)]
