from pathlib import Path
from typing import Any

import pytest

from search_spaces.architectures.chain import Chain, ConvLayer
from search_spaces.architectures.resnet import Resnet
from search_spaces.recipe import (
    ClassificationRecipe,
    EarlyStopping,
    HolisticDistillation,
    PairwiseDistillation,
    SoftDistillation,
    TrainedTeacher,
)
from tests.contracts.small_tasks import SMALL
from tests.trainers.examples import classifier, final_weights, run, same, squares, timeless
from trainers.determinism import Generators
from trainers.learners.classification import ClassificationLearner, figures
from trainers.learners.teaching import teaching
from trainers.tasks.classification import Classifier

TEACHER = Chain(layers=(ConvLayer(filters=8), ConvLayer(filters=8)), pool_after=(0,))


def _distilled(**settings: Any) -> dict[str, Any]:
    return {"distillation": SoftDistillation(teachers=(TrainedTeacher(architecture=TEACHER, epochs=3),), **settings)}


def test_l01_the_teacher_learns_with_the_recipe_less_the_distillation() -> None:
    spec = classifier(**_distilled(), early_stopping=EarlyStopping(patience=1, min_delta=9.0))
    with Generators(0):
        network = teaching(ClassificationLearner, spec, squares(), 5, "cpu")(TEACHER, 8)
        learner = ClassificationLearner(spec, squares(), 5, "cpu")
    assert set(network.state_dict()) == set(TEACHER.build((1, 8, 8), 4).state_dict())
    assert figures(network, learner._val)["accuracy"] > 0.6


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
