"""What every trick keeps: it is implemented, can be written down, does what it says, resumes, runs on the CPU."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from search_spaces.errors import SpecError
from search_spaces.recipe import (
    Augmentation,
    ClipGradients,
    Cosine,
    Crop,
    Cutout,
    Dropout,
    DropPath,
    EarlyStopping,
    Ema,
    Flip,
    GradualWarmup,
    LabelSmoothing,
    Mix,
    Optimizer,
    Recipe,
    Schedule,
    Sgd,
    Trick,
    Warmup,
)
from search_spaces.spec import kinds
from tests.trainers.examples import classifier, final_weights, run, same, squares, timeless
from trainers.determinism import Generators
from trainers.learners.classification import ClassificationLearner
from trainers.tricks.registry import implemented

TRICKS = [pytest.param(spec, id=kind) for kind, spec in kinds(Trick).items()]
# A setting that shows, where the default is what an empty recipe has anyway, or shows too late.
SHOWN: dict[type[Trick], dict[str, Any]] = {
    Sgd: {"lr": 0.03},
    Cosine: {"final": 0.5},
    GradualWarmup: {"epochs": 2.0},
    EarlyStopping: {"patience": 1, "metric": "val/accuracy", "min_delta": 1.0},
    ClipGradients: {"norm": 0.01},
}
# A setting that must change no bit, and the field as it is without the trick.
NEUTRAL: list[Trick] = [
    Crop(padding=0.0),
    Flip(p=0.0),
    Cutout(length=0.0),
    Dropout(rate=0.0),
    DropPath(rate=0.0),
    ClipGradients(norm=1e9),
    EarlyStopping(patience=99),
    GradualWarmup(epochs=0.0),
]


def _field(trick: Trick) -> str:
    for name in Recipe.model_fields:
        try:
            if getattr(Recipe.from_data({name: trick.to_data()}), name) == trick:
                return name
        except SpecError:
            continue
    raise AssertionError(f"no field of the recipe takes {trick}")


def _shown(spec: type[Trick]) -> dict[str, Any]:
    trick = spec(**SHOWN.get(spec, {}))
    return {_field(trick): trick}


def _batches(recipe: dict[str, Any]) -> list[Any]:
    with Generators(0):
        learner = ClassificationLearner(classifier(**recipe), squares(), 0, "cpu")
        return [dataclasses.astuple(learner.batch(learner.sampler.next())) for _ in range(3)]


def _images(recipe: dict[str, Any]) -> Any:
    return [images for images, _, _ in _batches(recipe)]


def _targets(recipe: dict[str, Any]) -> Any:
    return [targets for _, _, targets in _batches(recipe)]


def _update(recipe: dict[str, Any]) -> Any:
    return run(classifier(**recipe), fidelity=2)[-1].metrics["train/loss"]


def _judgement(recipe: dict[str, Any]) -> Any:
    return run(classifier(**recipe), fidelity=2)[-1].metrics["val/loss"]


def _length(recipe: dict[str, Any]) -> Any:
    return len(run(classifier(**recipe), fidelity=4))


CHANGES: list[tuple[type[Trick], Callable[[dict[str, Any]], Any]]] = [
    (Augmentation, _images),
    (Mix, _images),
    (Mix, _targets),
    (LabelSmoothing, _targets),
    (Optimizer, _update),
    (Schedule, _update),
    (Warmup, _update),
    (ClipGradients, _update),
    (Dropout, _update),
    (DropPath, _update),
    (Ema, _judgement),
    (EarlyStopping, _length),
]


@pytest.mark.parametrize("spec", TRICKS)
def test_it_has_an_implementation(spec: type[Trick]) -> None:
    assert spec in implemented()


def test_nothing_else_is_implemented() -> None:
    assert set(implemented()) == set(kinds(Trick).values())


@pytest.mark.parametrize("spec", TRICKS)
def test_it_is_written_down_and_read_back(spec: type[Trick]) -> None:
    trick = spec(**SHOWN.get(spec, {}))
    assert Trick.from_json(trick.to_json()) == trick
    assert Trick.from_yaml(trick.to_yaml()) == trick
    recipe = Recipe(**_shown(spec))
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe == Recipe.from_json(recipe.to_json())


@pytest.mark.parametrize("spec", TRICKS)
def test_it_changes_what_it_says_it_changes(spec: type[Trick]) -> None:
    observers = [observe for family, observe in CHANGES if issubclass(spec, family)]
    assert observers, f"say in CHANGES what {spec.__name__} changes"
    for observe in observers:
        off = observe({})
        assert same(off, observe({}))
        assert not same(off, observe(_shown(spec))), observe.__name__


@pytest.mark.parametrize("trick", NEUTRAL, ids=lambda trick: type(trick).__name__)
def test_at_its_neutral_setting_it_changes_no_bit(trick: Trick) -> None:
    plain = run(classifier(warmup=None), fidelity=2)
    neutral = run(classifier(**{"warmup": None, _field(trick): trick}), fidelity=2)
    assert [timeless(report.metrics) for report in plain] == [timeless(report.metrics) for report in neutral]


@pytest.mark.parametrize("spec", TRICKS)
def test_it_resumes_exactly(spec: type[Trick], tmp_path: Path) -> None:
    changed = {**_shown(spec), **({"early_stopping": EarlyStopping(patience=3)} if spec is EarlyStopping else {})}
    folder = tmp_path / "t000001"
    whole = run(classifier(**changed), fidelity=4, folder=str(folder))
    rest = run(classifier(**changed), fidelity=4, folder=str(folder), attempt=2, resume_from=str(folder / "1-2.pt"))
    assert [timeless(report.metrics) for report in rest] == [timeless(report.metrics) for report in whole[2:]]
    assert same(final_weights(folder, rest), final_weights(folder, whole))


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("spec", TRICKS)
def test_it_runs_on_the_cpu(spec: type[Trick], precision: str) -> None:
    report = run(classifier(**_shown(spec), precision=precision), fidelity=1)[-1]
    assert all(math.isfinite(value) for value in report.metrics.values())
    assert report.metrics["train/loss"] < 3.0


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
@pytest.mark.parametrize("spec", TRICKS)
def test_it_runs_and_resumes_on_an_accelerator(spec: type[Trick], precision: str, tmp_path: Path) -> None:
    folder, changed = tmp_path / "t000001", _shown(spec)
    context = {"folder": str(folder), "device": str(torch.accelerator.current_accelerator())}
    whole = run(classifier(**changed, precision=precision), fidelity=2, **context)
    resumed = {**context, "attempt": 2, "resume_from": str(folder / "1-1.pt")}
    rest = run(classifier(**changed, precision=precision), fidelity=2, **resumed)
    for found, expected in zip(rest, whole[1:], strict=True):
        assert timeless(found.metrics) == pytest.approx(timeless(expected.metrics), rel=1e-3)
