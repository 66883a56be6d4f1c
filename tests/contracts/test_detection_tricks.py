"""What the tricks of detection keep with two stages: they change what they say and no more, resume, run in bf16."""

import functools
import math
from pathlib import Path
from typing import Any

import pytest

from search_spaces.blocks.cascade import Cascade, HybridCascade
from search_spaces.blocks.detection import DetectionHead, Guided
from search_spaces.blocks.regions import RoiAlign
from search_spaces.recipe import (
    BalancedSampling,
    CascadeLoss,
    Ciou,
    Diou,
    DiouNms,
    Focal,
    Giou,
    GuidedLoss,
    HardNegatives,
    HardNms,
    Iou,
    IouAssignment,
    LooseAssignment,
    MultiScaleTest,
    ScaleCompensation,
    SmoothL1,
    SoftNms,
    Trick,
    WeightedNms,
)
from search_spaces.spec import kinds
from tests.trainers.detectors import ONE, TWO, model, run
from tests.trainers.examples import final_weights, same, timeless
from trainers.tricks.registry import implemented

# Field of the recipe, and a trick that shows beside the default of that field.
LEARN: list[tuple[str, Trick | None]] = [
    ("loss", None),
    ("loss", Focal(gamma=1.0)),
    ("box_loss", SmoothL1(beta=0.1)),
    ("box_loss", Iou()),
    ("box_loss", Giou()),
    ("box_loss", Diou()),
    ("box_loss", Ciou()),
    ("assignment", IouAssignment(positive=0.6, negative=0.3)),
    ("assignment", LooseAssignment(small=0.3, negative=0.2)),
    ("assignment", ScaleCompensation()),
    ("sampling", BalancedSampling(number=32)),
    ("sampling", HardNegatives()),
    ("region_assignment", IouAssignment(positive=0.3, negative=0.3, low_quality=False)),
    ("region_sampling", BalancedSampling(number=12, positive=0.5)),
]
PREDICT: list[tuple[str, Trick | None]] = [
    ("suppression", HardNms(threshold=0.2)),
    ("suppression", SoftNms(sigma=0.1)),
    ("suppression", SoftNms(form="linear", threshold=0.1)),
    ("suppression", DiouNms(threshold=0.2)),
    ("suppression", WeightedNms()),
    ("prediction", MultiScaleTest(scales=(1.0, 1.5))),
]
CASES = LEARN + PREDICT
# Tricks of heads of their own.
STAGES = {"candidates": 32, "proposals": 8, "hidden": 16, "pooling": RoiAlign(size=3, sampling=1), "stages": 2}
CASCADE = Cascade(**STAGES)
HYBRID = HybridCascade(**STAGES, semantic_depth=1, masks=True, mask_depth=1, mask_width=8, mask_size=4)
GUIDED = Guided(depth=0)
OWN: list[tuple[DetectionHead, str, Trick]] = [
    (GUIDED, "guided", GuidedLoss(location=0.5)),
    (GUIDED, "guided", GuidedLoss(shape=1.0)),
    (GUIDED, "guided", GuidedLoss(centre=0.4, ignored=0.8)),
    (CASCADE, "cascade", CascadeLoss(step=0.3)),
    (CASCADE, "cascade", CascadeLoss(decay=1.0)),
    (HYBRID, "cascade", CascadeLoss(semantic=0.1)),
    (HYBRID, "cascade", CascadeLoss(mask=0.1)),
]
NEUTRAL: list[tuple[DetectionHead, str, Trick]] = [
    (ONE, "region_sampling", BalancedSampling(number=12)),
    (ONE, "region_assignment", IouAssignment(positive=0.9)),
    (ONE, "guided", GuidedLoss(location=9.0)),
    (TWO, "cascade", CascadeLoss(step=0.3, decay=0.1)),
    (CASCADE, "cascade", CascadeLoss(semantic=9.0, mask=9.0)),
    (TWO, "prediction", MultiScaleTest(scales=(1.0,), flip=False)),
    (TWO, "suppression", HardNms(threshold=0.5)),
]


def _name(value: Any) -> str:
    return value if isinstance(value, str) else "off" if value is None else type(value).__name__


def _figures(**recipe: Any) -> dict[str, float]:
    found: dict[str, float] = timeless(run(model(TWO, **recipe), fidelity=1)[-1].metrics)
    return found


@functools.cache
def _plain() -> dict[str, float]:
    return _figures()


def test_every_trick_that_detection_alone_has_is_here() -> None:
    families = {"BoxLoss", "Assignment", "Sampling", "Suppression"}
    own = {spec for spec in kinds(Trick).values() if families & {base.__name__ for base in spec.__mro__}}
    shown = {type(trick) for _, trick in CASES}
    assert own <= shown and own <= set(implemented())


@pytest.mark.parametrize(("field", "trick"), CASES, ids=_name)
def test_it_changes_what_it_says_it_changes(field: str, trick: Trick | None) -> None:
    off, on = _plain(), _figures(**{field: trick})
    trained = [name for name in off if name.startswith("train/")]
    same_training = all(off[name] == on[name] for name in trained)
    assert off != on
    # What is done with a trained network changes neither its training nor its loss.
    assert same_training == (field in ("suppression", "prediction"))
    if same_training:
        assert off["val/loss"] == on["val/loss"]


@pytest.mark.parametrize(("head", "field", "trick"), NEUTRAL, ids=_name)
def test_at_its_neutral_setting_it_changes_no_bit(head: DetectionHead, field: str, trick: Trick) -> None:
    plain, neutral = (run(model(head, **recipe), fidelity=1)[-1] for recipe in ({}, {field: trick}))
    assert timeless(neutral.metrics) == timeless(plain.metrics)


@pytest.mark.parametrize(("field", "trick"), LEARN, ids=_name)
def test_it_resumes_exactly(field: str, trick: Trick | None, tmp_path: Path) -> None:
    folder, spec = tmp_path / "t000001", model(TWO, **{field: trick})
    whole = run(spec, fidelity=2, folder=str(folder))
    rest = run(spec, fidelity=2, folder=str(folder), attempt=2, resume_from=str(folder / "1-1.pt"))
    assert [timeless(report.metrics) for report in rest] == [timeless(report.metrics) for report in whole[1:]]
    assert same(final_weights(folder, rest), final_weights(folder, whole))


@pytest.mark.parametrize(("head", "field", "trick"), OWN, ids=_name)
def test_tricks_of_other_heads_change_what_they_learn_and_resume_exactly(
    head: DetectionHead, field: str, trick: Trick, tmp_path: Path
) -> None:
    folder, spec = tmp_path / "t000001", model(head, **{field: trick})
    whole = run(spec, fidelity=2, folder=str(folder))
    trace = [timeless(report.metrics) for report in whole]
    assert trace != [timeless(report.metrics) for report in run(model(head), fidelity=2)]
    rest = run(spec, fidelity=2, folder=str(folder), attempt=2, resume_from=str(folder / "1-1.pt"))
    assert [timeless(report.metrics) for report in rest] == trace[1:]
    assert same(final_weights(folder, rest), final_weights(folder, whole))
    half = run(model(head, precision="bf16", **{field: trick}), fidelity=1)[-1]
    assert all(math.isfinite(value) for value in timeless(half.metrics).values())


@pytest.mark.parametrize(("field", "trick"), LEARN, ids=_name)
def test_it_runs_in_bf16(field: str, trick: Trick | None) -> None:
    found = _figures(precision="bf16", **{field: trick})
    assert all(math.isfinite(value) for value in found.values())
