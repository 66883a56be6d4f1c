from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from search_spaces.architectures.chain import Chain
from search_spaces.errors import SpecError
from search_spaces.space import Space
from trainers.tasks.base import Task
from trainers.tasks.table import Table
from trainers.trial import Report, TrialContext, TrialFailed

SECTION = {"x": {"float": [0.0, 1.0]}, "n": {"integer": [1, 3]}}


def _table(folder: Path, columns: dict[str, Any] | None = None, **options: Any) -> Table:
    path = str(folder / "table.parquet")
    columns = columns or {"p:x": [0.25, 0.25, 0.5], "p:n": [1, 2, 3], "m:val/accuracy": [0.7, 0.8, None]}
    pq.write_table(pa.table(columns), path)
    found = Task.from_data({"kind": "table", "path": path, **options})
    assert isinstance(found, Table)
    return found


def _run(
    task: Table, candidate: dict[str, Any], fidelity: int = 1, section: Any = None, **options: Any
) -> list[Report]:
    space = Space(task.template(section or SECTION))
    chosen = space.candidate(candidate)
    trial = TrialContext("t000000", 0, fidelity, candidate=chosen, **options)
    return list(task.run(space.realize(chosen), trial, task.open()))


def test_a_trial_reports_what_the_table_says(tmp_path: Path) -> None:
    task = _table(tmp_path)
    assert task.metrics() == ("val/accuracy",)
    assert _run(task, {"x": 0.25, "n": 2}) == [Report(1, {"val/accuracy": 0.8}, done=True)]


def test_a_candidate_that_is_not_in_the_table_fails(tmp_path: Path) -> None:
    task = _table(tmp_path)
    with pytest.raises(TrialFailed, match="the table has no such candidate"):
        _run(task, {"x": 0.5, "n": 1})
    with pytest.raises(TrialFailed, match="the table has no figures of this candidate"):
        _run(task, {"x": 0.5, "n": 3})


def test_a_curve_ends_with_the_table_or_the_fidelity(tmp_path: Path) -> None:
    columns = {"p:x": [0.5] * 3, "epoch": [1, 2, 3], "m:loss": [3.0, 2.0, 1.0]}
    task = _table(tmp_path, columns, step="epoch")
    section = {"x": SECTION["x"]}
    reports = _run(task, {"x": 0.5}, 5, section)
    assert [(report.step, report.metrics["loss"], report.done) for report in reports] == [
        (1, 3.0, False),
        (2, 2.0, False),
        (3, 1.0, True),
    ]
    assert [report.step for report in _run(task, {"x": 0.5}, 2, section)] == [1, 2]


@pytest.mark.parametrize(
    ("section", "error"),
    [
        ({"x": SECTION["x"]}, "n: the table tells candidates apart by a decision that the space lacks"),
        ({**SECTION, "m": {"integer": [1, 3]}}, "unknown decision: the table has no such column"),
    ],
)
def test_a_space_that_the_table_does_not_know_is_refused(tmp_path: Path, section: Any, error: str) -> None:
    task = _table(tmp_path)
    with pytest.raises(SpecError) as caught:
        task.fits(task.template(section), task.open())
    assert error in str(caught.value)
    task.fits(task.template(SECTION), task.open())


def test_architectures_in_a_section_are_specs(tmp_path: Path) -> None:
    task = _table(tmp_path)
    chain = {"preset": "chain", "layers": 2}
    whole = task.template(chain)
    assert isinstance(whole, Chain)
    joint = task.template({"architecture": chain, "lr": {"float": [0.1, 1.0]}})
    assert list(joint) == ["architecture", "lr"] and isinstance(joint["architecture"], Chain)
    # What is kept of a search reads as the same space again.
    for found in (whole, joint, task.template(SECTION)):
        again = Space(task.template(task.section(found)))
        assert again.fingerprint == Space(found).fingerprint
    with pytest.raises(SpecError, match=r"architecture/layers/0"):
        task.template({"architecture": {"kind": "chain", "layers": [{"height": -1}]}})


def test_a_column_of_texts_needs_an_architecture_that_writes_itself(tmp_path: Path) -> None:
    task = _table(tmp_path, {"arch": ["a"], "y": [0.5]}, architecture="arch")
    with pytest.raises(SpecError, match="only an architecture that writes itself as text"):
        task.fits(task.template({"preset": "chain", "layers": 2}), task.open())


def test_what_is_wrong_is_said_by_field(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="decisions: the architecture or decisions tell the candidate"):
        _table(tmp_path, architecture="a", decisions=["b"])
    absent = Table(path=str(tmp_path / "none.parquet"))
    assert absent.metrics() == ()
    with pytest.raises(SpecError, match=r"none.parquet: cannot be read"):
        absent.open()
    with pytest.raises(SpecError, match="unknown column"):
        _table(tmp_path, figures={"y": "z"}).open()
    with pytest.raises(SpecError, match="cannot run this mode"):
        _run(_table(tmp_path), {"x": 0.25, "n": 2}, mode="proxy")
