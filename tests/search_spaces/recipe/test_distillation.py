import numpy as np
import pytest

from search_spaces.recipe import (
    ClassificationRecipe,
    Distillation,
    HolisticDistillation,
    RunTeacher,
    SegmentationRecipe,
    SoftDistillation,
    Teacher,
)
from search_spaces.space import Space
from search_spaces.spec import SpecError, kinds

SOFT = {"kind": "soft_distillation", "teachers": [{"kind": "run", "path": "runs/a/best"}]}


def test_teachers_are_a_run_or_trained_first() -> None:
    assert set(kinds(Teacher)) == {"run", "trained"}
    found = ClassificationRecipe.from_data({"distillation": SOFT}).distillation
    assert found == SoftDistillation(teachers=(RunTeacher(path="runs/a/best"),))


def test_a_teachers_architecture_may_be_searched() -> None:
    layer = {"filters": {"categorical": [4, 8]}}
    trained = {"kind": "trained", "architecture": {"kind": "chain", "layers": [layer]}, "epochs": 2}
    data = {"distillation": {**SOFT, "teachers": [trained], "temperature": {"float": [1.0, 20.0]}}}
    space = Space(ClassificationRecipe.from_data(data))
    paths = {point.path for point in space.points()}
    assert paths == {"distillation/teachers/0/architecture/layers/0/filters", "distillation/temperature"}
    recipe = space.realize(space.sample(np.random.default_rng(0)))
    assert 1.0 <= recipe.distillation.temperature <= 20.0


def test_at_least_one_teacher_is_needed() -> None:
    with pytest.raises(SpecError, match="teachers"):
        Distillation.from_data({"kind": "soft_distillation", "teachers": []})
    with pytest.raises(SpecError, match="temperature"):
        Distillation.from_data({**SOFT, "temperature": 0.0})


def test_tasks_that_cannot_use_it_refuse_it_by_name() -> None:
    data = {"distillation": {**SOFT, "kind": "holistic_distillation"}}
    assert isinstance(SegmentationRecipe.from_data(data).distillation, HolisticDistillation)
    with pytest.raises(SpecError, match="holistic_distillation is for segmentation; got it in classification"):
        ClassificationRecipe.from_data(data)
