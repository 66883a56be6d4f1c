import sys

import pytest

from search_spaces.domains import Float
from search_spaces.errors import SpecError
from search_spaces.spec import kinds
from trainers.tasks.base import Task
from trainers.tasks.function import Function
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
