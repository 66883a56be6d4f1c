"""What every trick keeps, in every task that can use it: it is implemented, can be written down, changes something,
resumes exactly and runs on the CPU."""

import functools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from search_spaces.errors import SpecError
from search_spaces.recipe import (
    L1,
    AdamW,
    Augmentation,
    Balance,
    BatchNorm,
    ClipGradients,
    Color,
    ConstantWarmup,
    Cosine,
    CosineRestarts,
    Crop,
    Cutout,
    DeepSupervision,
    Distillation,
    Dropout,
    DropPath,
    EarlyStopping,
    EasyFirst,
    EdgeLoss,
    Erasing,
    Flip,
    Focal,
    GradualWarmup,
    HardNms,
    IouAssignment,
    LabelSmoothing,
    LayerTransfer,
    Mix,
    Mixup,
    MultiScale,
    Normalize,
    OversampleSmall,
    PcaColor,
    Plateau,
    Prediction,
    ResolutionStages,
    Rotation,
    Sgd,
    SmoothL1,
    Staged,
    StepDecay,
    Suppression,
    TrainedTeacher,
    Trick,
    ZoomOut,
)
from search_spaces.recipe.trick import ALL_TASKS
from search_spaces.spec import kinds
from tests.contracts.small_tasks import SMALL
from tests.trainers.examples import final_weights, same, timeless
from trainers.determinism import Generators
from trainers.tricks.registry import implemented

TRICKS = {kind: spec for kind, spec in kinds(Trick).items() if issubclass(spec, Trick)}
# Pairs that the small networks cannot show: they have no such layer or output.
WITHOUT = {
    ("deep_supervision", "classification"): "no network for classification has auxiliary heads",
    ("pairwise_distillation", "classification"): "a chain returns no feature maps",
    ("dropout", "segmentation"): "the segmenter has no linear layer",
    ("dropout", "detection"): "the detector of one stage has no linear layer",
    ("guided_loss", "detection"): "the detector of one stage starts from anchors",
    ("cascade_loss", "detection"): "the detector of one stage looks at no regions",
    ("drop_path", "segmentation"): "a ResNet has no paths to drop",
    ("drop_path", "detection"): "a ResNet has no paths to drop",
    ("drop_path", "language"): "a recurrent network has no paths to drop",
    ("batch_norm", "language"): "a recurrent network has no batch norm",
}
PAIRS = [
    pytest.param(spec, task, id=f"{kind}-{task}")
    for kind, spec in TRICKS.items()
    for task in SMALL
    if task in spec.tasks and (kind, task) not in WITHOUT
]
# A setting that shows, where the default is what a recipe has anyway, or shows too late.
SHOWN: dict[type[Trick], dict[str, Any]] = {
    Sgd: {"lr": 0.03},
    Cosine: {"final": 0.5},
    CosineRestarts: {"cycles": 3, "growth": 1.0},
    StepDecay: {"epochs": 1.0},
    Plateau: {"patience": 1, "min_delta": 100.0},
    GradualWarmup: {"epochs": 2.0},
    EarlyStopping: {"patience": 1, "min_delta": 100.0},
    ClipGradients: {"norm": 0.01},
    BatchNorm: {"momentum": 0.5},
    L1: {"weight": 0.01},
    Normalize: {"statistics": "none"},
    Focal: {"gamma": 0.5},
    SmoothL1: {"beta": 0.1},
    HardNms: {"threshold": 0.05},
    IouAssignment: {"positive": 0.7},
    MultiScale: {"every": 1},
    Staged: {"epochs": 1.0},
    ResolutionStages: {"shares": (0.5, 1.0)},
    AdamW: {"lr": 0.01},
}
# A setting that must change no bit.
NEUTRAL: list[Trick] = [
    Crop(padding=0.0),
    Flip(p=0.0),
    Rotation(degrees=0.0),
    ZoomOut(p=0.0),
    Color(brightness=0.0, contrast=0.0, saturation=0.0),
    PcaColor(sigma=0.0),
    ResolutionStages(shares=(1.0,)),
    MultiScale(smallest=1.0, largest=1.0),
    Erasing(p=0.0),
    Cutout(length=0.0),
    Staged(epochs=0.0),
    EasyFirst(epochs=0.0),
    OversampleSmall(ratio=1.0),
    Mixup(until=0.0),
    LabelSmoothing(epsilon=0.0),
    Dropout(rate=0.0),
    DropPath(rate=0.0),
    L1(weight=0.0),
    BatchNorm(),
    ClipGradients(norm=1e9),
    EarlyStopping(patience=99),
    GradualWarmup(epochs=0.0),
    ConstantWarmup(iterations=0),
    EdgeLoss(weight=0.0),
    DeepSupervision(weight=0.0),
]
# Sums come in another order where targets are probabilities, and where a loss has a further part.
CLOSE: tuple[type[Trick], ...] = (Mixup, LabelSmoothing, EdgeLoss, DeepSupervision)


def _field(trick: Trick, task: str) -> str:
    recipe = SMALL[task].recipe
    for name in recipe.model_fields:
        try:
            if getattr(recipe.from_data({name: trick.to_data()}), name) == trick:
                return name
        except SpecError:
            continue
    raise AssertionError(f"no field of the recipe of {task} takes {trick}")


def _shown(spec: type[Trick], task: str) -> dict[str, Any]:
    """The fields of a recipe with the trick, set so that it shows."""
    given = SHOWN.get(spec, {})
    if issubclass(spec, Distillation):
        given = {"teachers": (TrainedTeacher(architecture=SMALL[task].architecture, epochs=1),), **given}
    if spec is LayerTransfer:
        given = {"path": _best(task), **given}
    trick = spec(**given)
    return {_field(trick, task): trick}


@functools.cache
def _best(task: str) -> str:
    """A folder as an earlier run leaves it."""
    import tempfile

    small, folder = SMALL[task], Path(tempfile.mkdtemp())
    shape, outputs = small.task.shape(small.open())
    with Generators(9):
        network = small.architecture.build(shape, outputs)  # type: ignore[attr-defined]
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()}, folder / "weights.safetensors"
    )
    (folder / "architecture.json").write_text(small.architecture.to_json())
    return str(folder)


@functools.cache
def _off(task: str) -> list[dict[str, float]]:
    return [timeless(report.metrics) for report in SMALL[task].run(SMALL[task].spec(), 3)]


def _trace(task: str, recipe: dict[str, Any], **context: Any) -> list[dict[str, float]]:
    return [timeless(report.metrics) for report in SMALL[task].run(SMALL[task].spec(**recipe), 3, **context)]


def _learner(task: str, recipe: dict[str, Any]) -> Any:
    from trainers.learners.classification import ClassificationLearner
    from trainers.learners.detection import DetectionLearner
    from trainers.learners.segmentation import SegmentationLearner

    learners: dict[str, Any] = {
        "classification": ClassificationLearner,
        "segmentation": SegmentationLearner,
        "detection": DetectionLearner,
    }
    small = SMALL[task]
    with Generators(0):
        return learners[task](small.spec(**recipe), small.open(), 0, "cpu")


def _batches(task: str, recipe: dict[str, Any]) -> Any:
    learner = _learner(task, recipe)
    with Generators(0):
        batches = [learner.batch(learner.sampler.next()) for _ in range(3)]
    return [[batch.images, batch.targets, batch.masks, batch.boxes, batch.weights] for batch in batches]


def _found(task: str, recipe: dict[str, Any]) -> Any:
    learner = _learner(task, recipe)
    learner.network.eval()
    with torch.no_grad():
        images = learner._val[torch.arange(4)]
        if task == "segmentation":
            return learner._predict(images)
        return learner._finder(images, learner._finder.outputs(images))


def test_every_trick_has_an_implementation_and_nothing_else_has_one() -> None:
    assert set(implemented()) == set(TRICKS.values())


@pytest.mark.parametrize("kind", TRICKS)
def test_it_names_tasks_that_there_are(kind: str) -> None:
    assert TRICKS[kind].tasks and TRICKS[kind].tasks <= ALL_TASKS == set(SMALL)


@pytest.mark.parametrize(("spec", "task"), PAIRS)
def test_it_is_written_down_and_read_back(spec: type[Trick], task: str) -> None:
    shown = _shown(spec, task)
    (trick,) = shown.values()
    assert Trick.from_json(trick.to_json()) == trick
    assert Trick.from_yaml(trick.to_yaml()) == trick
    recipe = SMALL[task].recipe(**shown)
    assert type(recipe).from_yaml(recipe.to_yaml()) == recipe == type(recipe).from_json(recipe.to_json())


@pytest.mark.parametrize("kind", TRICKS)
def test_other_tasks_refuse_it_by_name(kind: str) -> None:
    spec = TRICKS[kind]
    for task in sorted(ALL_TASKS - spec.tasks):
        owner = min(spec.tasks)
        ((field, trick),) = _shown(spec, owner).items()
        name = kind if field in SMALL[task].recipe.model_fields else field
        with pytest.raises(SpecError, match=f"^{field}: {name} is for .*; got it in {task}"):
            SMALL[task].recipe.from_data({field: trick.to_data()})


@pytest.mark.parametrize(("spec", "task"), PAIRS)
def test_it_changes_something_and_resumes_exactly(spec: type[Trick], task: str, tmp_path: Path) -> None:
    shown, folder, small = _shown(spec, task), tmp_path / "t000001", SMALL[task]
    if issubclass(spec, Augmentation | Mix | Balance):
        assert not same(_batches(task, {}), _batches(task, shown))
    if issubclass(spec, Suppression | Prediction):
        assert not same(_found(task, {}), _found(task, shown))
    whole = small.run(small.spec(**shown), 3, folder=str(folder))
    trace = [timeless(report.metrics) for report in whole]
    if not issubclass(spec, Suppression | Prediction):
        assert trace != _off(task)
    resumed = {"folder": str(folder), "attempt": 2, "resume_from": str(folder / "1-1.pt")}
    rest = small.run(small.spec(**shown), 3, **resumed)
    assert [timeless(report.metrics) for report in rest] == trace[1:]
    assert same(final_weights(folder, rest), final_weights(folder, whole))


@pytest.mark.parametrize("task", SMALL)
def test_what_is_off_is_off_to_the_bit(task: str) -> None:
    assert _trace(task, {}) == _off(task)


@pytest.mark.parametrize("task", SMALL)
@pytest.mark.parametrize("trick", NEUTRAL, ids=lambda trick: type(trick).__name__)
def test_at_its_neutral_setting_it_changes_no_bit(trick: Trick, task: str) -> None:
    if task not in trick.tasks or (trick.to_data()["kind"], task) in WITHOUT:
        return
    found = _trace(task, {_field(trick, task): trick})
    if isinstance(trick, CLOSE):
        assert found[-1]["val/loss"] == pytest.approx(_off(task)[-1]["val/loss"], rel=1e-4)
    else:
        assert found == _off(task)


@pytest.mark.parametrize(("spec", "task"), PAIRS)
def test_it_runs_on_the_cpu_in_half_precision(spec: type[Trick], task: str) -> None:
    small = SMALL[task]
    report = small.run(small.spec(**_shown(spec, task), precision="bf16"), 1)[-1]
    assert all(math.isfinite(value) for value in report.metrics.values())


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
@pytest.mark.parametrize(("spec", "task"), PAIRS)
def test_it_runs_and_resumes_on_an_accelerator(spec: type[Trick], task: str, precision: str, tmp_path: Path) -> None:
    folder, small = tmp_path / "t000001", SMALL[task]
    recipe = {**_shown(spec, task), "precision": precision}
    context = {"folder": str(folder), "device": str(torch.accelerator.current_accelerator())}
    whole = small.run(small.spec(**recipe), 2, **context)
    resumed = {**context, "attempt": 2, "resume_from": str(folder / "1-1.pt")}
    rest = small.run(small.spec(**recipe), 2, **resumed)
    for found, expected in zip(rest, whole[1:], strict=True):
        assert timeless(found.metrics) == pytest.approx(timeless(expected.metrics), rel=1e-3)
