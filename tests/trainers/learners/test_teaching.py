from pathlib import Path
from typing import Any

import pytest
import torch

from search_spaces.architectures.chain import Chain, ConvLayer
from search_spaces.architectures.resnet import Resnet
from search_spaces.recipe import (
    AdamW,
    ClassificationRecipe,
    EarlyStopping,
    EasyFirst,
    HolisticDistillation,
    LayerTransfer,
    Normalize,
    PairwiseDistillation,
    SoftDistillation,
    TrainedTeacher,
)
from tests.contracts.small_tasks import SMALL
from tests.trainers.examples import classifier, final_weights, run, same, squares, timeless
from trainers.checkpoint import load
from trainers.learners import teaching as module
from trainers.learners.classification import ClassificationLearner
from trainers.learners.teaching import own_recipe, teaching
from trainers.tasks.classification import Classifier
from trainers.trial import Common

TEACHER = Chain(layers=(ConvLayer(filters=8), ConvLayer(filters=8)), pool_after=(0,))


def _distilled(**settings: Any) -> dict[str, Any]:
    return {"distillation": SoftDistillation(teachers=(TrainedTeacher(architecture=TEACHER, epochs=3),), **settings)}


def _learned(common: Common, epochs: int = 2, **recipe: Any) -> dict[str, torch.Tensor]:
    learn = teaching(ClassificationLearner, classifier(**_distilled(), **recipe), squares(), "cpu", common)
    return dict(learn(TEACHER, epochs))


def test_l01_the_teacher_is_what_a_trial_of_the_default_recipe_with_the_seed_of_the_search_gives(
    tmp_path: Path,
) -> None:
    spec = Classifier(architecture=TEACHER, recipe=ClassificationRecipe())
    folder = tmp_path / "t000001"
    alone = final_weights(folder, run(spec, fidelity=3, seed=7, folder=str(folder)))
    assert same(_learned(Common(seed=7), 3, early_stopping=EarlyStopping(patience=1, min_delta=9.0)), alone)


def test_l01_of_the_students_recipe_the_teacher_has_the_normalisation_alone() -> None:
    student = ClassificationRecipe(
        batch_size=3,
        optimizer=AdamW(),
        init=LayerTransfer(path="nowhere"),
        curriculum=EasyFirst(),
        normalize=Normalize(statistics="none"),
        **_distilled(),
    )
    assert own_recipe(student) == ClassificationRecipe(normalize=Normalize(statistics="none"))


def test_l01_the_trials_of_a_search_train_their_teacher_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[int] = []
    train = module._trained

    def counted(*arguments: Any) -> Any:
        trained.append(arguments[-1])
        return train(*arguments)

    monkeypatch.setattr(module, "_trained", counted)
    common = Common(f"{tmp_path}/common", seed=7)
    first = _learned(common)
    # Another recipe and another seed of the trial, as a search has them.
    again = _learned(common, batch_size=9, optimizer=AdamW())
    assert trained == [2] and same(first, again)
    (file,) = (tmp_path / "common").iterdir()
    assert file.name.startswith("teacher-") and same(load(str(file))["network"], first)
    # Other epochs, another seed, another normalisation: another teacher.
    others = [
        _learned(common, 3),
        _learned(Common(common.folder, seed=8)),
        _learned(common, normalize=Normalize(statistics="none")),
    ]
    assert len(trained) == 4 and not any(same(first, other) for other in others)


def test_l01_trials_that_begin_together_train_it_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common, found = Common(f"{tmp_path}/common", seed=7), module._found
    first = _learned(common)
    (file,) = (tmp_path / "common").iterdir()
    left = file.read_bytes()
    # The second looked before the first had left it, and leaves it after.
    monkeypatch.setattr(module, "_found", lambda folder, name: None)
    assert same(_learned(common), first)
    assert [path.name for path in (tmp_path / "common").iterdir()] == [file.name] and file.read_bytes() == left
    # A file that a full disk cut short is no teacher.
    monkeypatch.setattr(module, "_found", found)
    file.write_bytes(left[:-9])
    assert same(_learned(common), first)


def test_l01_students_learn_the_same_from_a_teacher_that_another_trial_trained(tmp_path: Path) -> None:
    spec = classifier(**_distilled())
    traces = [
        [timeless(report.metrics) for report in run(spec, fidelity=2, common=common)]
        for common in (Common(f"{tmp_path}/common", 7), Common(f"{tmp_path}/common", 7), Common(None, 7))
    ]
    assert traces[0] == traces[1] == traces[2]
    assert traces[0] != [timeless(report.metrics) for report in run(spec, fidelity=2, common=Common(None, 8))]


def test_l01_the_student_draws_what_it_would_draw_without_a_teacher() -> None:
    plain = run(classifier(), fidelity=2)
    silent = run(classifier(**_distilled(weight=0.0)), fidelity=2)
    assert [timeless(r.metrics) for r in plain] == [timeless(r.metrics) for r in silent]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_l01_a_distilled_trial_goes_on_exactly_and_trains_its_teacher_once(precision: str, tmp_path: Path) -> None:
    spec, folder = classifier(**_distilled(), precision=precision), tmp_path / "t000001"
    whole = run(spec, fidelity=3, folder=str(folder))
    rest = run(spec, fidelity=3, folder=str(folder), attempt=2, resume_from=str(folder / "1-1.pt"))
    assert [timeless(r.metrics) for r in rest] == [timeless(r.metrics) for r in whole[1:]]
    assert same(final_weights(folder, rest), final_weights(folder, whole))
    assert whole[0].metrics["time/train"] > 0
    # The teacher of a second attempt is read: its seed is another, and nothing changes.
    other = run(spec, fidelity=3, seed=6, folder=str(folder), attempt=3, resume_from=str(folder / "1-2.pt"))
    assert other[-1].step == 3


def test_the_precision_of_the_student_does_not_reach_its_teacher() -> None:
    half, whole = (
        run(classifier(**_distilled(weight=1.0), precision=precision), fidelity=1)[-1].metrics["train/loss"]
        for precision in ("bf16", "float32")
    )
    assert half == pytest.approx(whole, rel=0.1)


def test_h08_h09_l01_each_distillation_of_pixels_changes_the_loss_and_goes_on_exactly(tmp_path: Path) -> None:
    small = SMALL["segmentation"]
    teachers = (TrainedTeacher(architecture=small.architecture, epochs=1),)
    losses = []
    for i, kind in enumerate((SoftDistillation, PairwiseDistillation, HolisticDistillation)):
        spec, folder = small.spec(distillation=kind(teachers=teachers)), tmp_path / f"t{i:06d}"
        whole = small.run(spec, 2, folder=str(folder))
        rest = small.run(spec, 2, folder=str(folder), attempt=2, resume_from=str(folder / "1-1.pt"))
        assert [timeless(r.metrics) for r in rest] == [timeless(r.metrics) for r in whole[1:]]
        assert same(final_weights(folder, rest), final_weights(folder, whole))
        losses.append(whole[-1].metrics["train/loss"])
    assert len(set(losses)) == 3


def test_h08_pairs_of_places_work_on_the_maps_of_a_classifier() -> None:
    network = Resnet(depths=(1, 1), widths=(4, 8), stem="cifar", block="basic")
    pairs = PairwiseDistillation(teachers=(TrainedTeacher(architecture=network, epochs=1),))
    spec = Classifier(architecture=network, recipe=ClassificationRecipe(batch_size=16, distillation=pairs))
    found = run(spec, fidelity=1)[-1].metrics
    plain = run(classifier().model_copy(update={"architecture": network}), fidelity=1)[-1].metrics
    assert found["train/loss"] != plain["train/loss"]
