import sys

import numpy as np
import pytest

from search_spaces.domains import Float, Integer
from search_spaces.errors import SpecError
from search_spaces.recipe import ClassificationRecipe
from search_spaces.spec import hole, kinds
from trainers.data.scenes import Scenes
from trainers.data.splits import split
from trainers.data.text import Text
from trainers.tasks.base import Task
from trainers.tasks.classification import Classification
from trainers.tasks.detection import Detection
from trainers.tasks.function import Function
from trainers.tasks.language import Language
from trainers.tasks.segmentation import Segmentation
from trainers.trial import TrialContext

TASK = Function(target="package.module:name")


def test_tasks_are_found_by_kind() -> None:
    assert set(kinds(Task)) >= {"classification", "function"}
    task = Task.from_data({"kind": "classification", "report_every": 0.5, "data": {"kind": "digits", "val": 0.3}})
    assert Task.from_yaml(task.to_yaml()) == task
    with pytest.raises(SpecError, match="did you mean 'classification'"):
        Task.from_data({"kind": "clasification"})


def test_a_task_without_a_spec_of_its_own_takes_any_template() -> None:
    template = TASK.template({"a": {"float": [0.0, 1.0]}, "b": 3})
    assert template == {"a": Float(0.0, 1.0), "b": 3}


@pytest.mark.parametrize("field", [{"report_every": 0.0}, {"checkpoint_every": 0}])
def test_intervals_are_positive(field: dict[str, float]) -> None:
    with pytest.raises(SpecError, match="out of range"):
        Task.from_data({"kind": "classification", **field})


def test_other_modes_are_refused() -> None:
    TASK.refuse_mode(TrialContext("t000001", 0, 1, mode="retrain"))
    with pytest.raises(SpecError, match="mode: task function cannot run this mode; got 'supernet'"):
        TASK.refuse_mode(TrialContext("t000001", 0, 1, mode="supernet"))


@pytest.mark.parametrize("kind", ["classification", "segmentation", "detection", "language"])
def test_a_space_is_read_as_the_tasks_own_spec_and_written_without_its_class(kind: str) -> None:
    task = Task.from_data({"kind": kind})
    assert task.model is not None
    architecture = {"architecture": {"preset": "chain", "layers": 2}} if kind == "classification" else {}
    template = task.template({**architecture, "recipe": {"batch_size": {"integer": [2, 4]}}})
    assert type(template) is task.model
    section = task.section(template)
    assert set(section) == {"architecture", "recipe"} and task.template(section) == template


def test_a_task_without_a_spec_of_its_own_writes_the_class_of_a_spec() -> None:
    template = ClassificationRecipe(batch_size=hole(Integer(2, 4)))
    section = TASK.section(template)
    assert section["class"] == "search_spaces.recipe.recipe:ClassificationRecipe"
    assert TASK.template(section) == template
    assert TASK.section({"a": Float(0.0, 1.0)}) == {"a": {"float": [0.0, 1.0], "log": False}}


def test_a_task_knows_the_part_of_every_row_where_it_has_rows() -> None:
    assert TASK.parts(None) is None
    text = Language(data=Text(limit=500))
    assert np.array_equal(np.unique(text.parts(text.open())), [0, 1, 2])
    scenes = Scenes(scenes=40, size=16)
    for task in (Segmentation(data=scenes), Detection(data=scenes)):
        assert np.array_equal(task.parts(task.open()), split(40, scenes.val, scenes.test, 0))
    digits = Classification()
    assert len(digits.parts(digits.open())) == 1797


def test_compiling_is_refused_where_there_is_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    either = {"categorical": [False, True]}
    monkeypatch.setenv("CXX", "no-such-compiler")
    for kind, shape in (("classification", ((1, 8, 8), 4)), ("language", ((64,), 9))):
        task = Task.from_data({"kind": kind})
        task.refuse(task.template({"recipe": {"compile": False}}), shape)
        for wanted in (True, either):
            with pytest.raises(
                SpecError, match="^recipe/compile: compiling needs a C.. compiler; got 'no no-such-comp"
            ):
                task.refuse(task.template({"recipe": {"compile": wanted}}), shape)
    monkeypatch.setenv("CXX", sys.executable)
    task.refuse(task.template({"recipe": {"compile": True}}), shape)
