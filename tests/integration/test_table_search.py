"""Tables as objectives, and equal architectures as one, through the real driver."""

import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.commands import screens
from cluster.config import SearchConfig
from cluster.mlflow_summary import note
from cluster.report import write
from cluster.runtime import drive
from cluster.standing import Standing
from cluster.storage import Storage
from cluster.tables import TRIALS
from search_spaces.architectures.nasbench201 import NasBench201
from tests.cluster import searches

OPERATIONS = ("none", "skip_connect", "nor_conv_3x3")
SECTION = {"preset": "nasbench201", "operations": list(OPERATIONS)}


def _cells(folder: Path) -> Path:
    """Every cell of three operations, as the published table writes them, its convolutions counted."""
    rows = [NasBench201(edges=edges) for edges in itertools.product(OPERATIONS, repeat=6)]
    columns: dict[str, Any] = {
        "index": list(range(len(rows))),
        "architecture": [row.to_string() for row in rows],
        "cifar10_val": [float(len(row.live_edges())) for row in rows],
    }
    path = folder / "cells.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def _search(path: Path, **changes: Any) -> SearchConfig:
    task = {"kind": "table", "path": str(path), "architecture": "architecture"}
    goal = {"metric": "val/accuracy", "mode": "max"}
    data = {
        "task": {**task, "figures": {"val/accuracy": "cifar10_val"}},
        "space": SECTION,
        "budget": {"trials": 20},
        "objectives": [goal],
    }
    return searches.config(**data | changes)


def test_a_table_of_architectures_stands_in_for_training(tmp_path: Path) -> None:
    search = _search(_cells(tmp_path))
    end = drive(search, Storage.open(tmp_path / "run"), executor="local")
    assert (end.reason, end.code) == ("budget.trials", 0)
    for data in searches.records(tmp_path / "run", "told"):
        assert data.fields["outcome"]["status"] == "COMPLETED"
    space = search.make_space()
    for trial_id, outcome in searches.told(tmp_path / "run").items():
        asked = {t["trial_id"]: t for r in searches.records(tmp_path / "run", "asked") for t in r.fields["trials"]}
        spec = space.realize(space.candidate(asked[trial_id]["candidate"]))
        assert outcome["metrics"]["val/accuracy"] == len(spec.live_edges())


def test_isomorphic_cells_are_evaluated_once(tmp_path: Path) -> None:
    search = _search(_cells(tmp_path), budget={"trials": 3**6})
    space = search.make_space()
    classes = {space.canonical(candidate).id for candidate in space.enumerate()}
    assert 3 < len(classes) < 3**6 / 4
    end = drive(search, Storage.open(tmp_path / "run"), executor="local")
    assert end.reason == "exhausted"
    found = [space.canonical(space.candidate(candidate)).id for candidate in searches.candidates(tmp_path / "run")]
    # A class of one cell may be missed by as many draws as end the search.
    assert len(set(found)) == len(found) and 0.9 * len(classes) <= len(found) <= len(classes)


def test_what_the_cache_answers_is_counted_and_shown(tmp_path: Path) -> None:
    # The same cell with its inner nodes swapped, then one whose convolution leads nowhere.
    first = ("nor_conv_3x3", "none", "none", "none", "nor_conv_3x3", "none")
    swapped = ("none", "nor_conv_3x3", "none", "none", "none", "nor_conv_3x3")
    dead = ("nor_conv_3x3", "nor_conv_3x3", "none", "none", "nor_conv_3x3", "none")
    cells = [{f"edges/{i}": operation for i, operation in enumerate(cell)} for cell in (first, swapped, dead)]
    search = _search(_cells(tmp_path), budget={"trials": 4})
    storage = Storage.open(tmp_path / "run")
    drive(search, storage, executor="local", enqueue=cells)
    told = searches.told(tmp_path / "run")
    assert [told[f"t{i:06d}"]["source"] for i in range(3)] == ["run", "cache", "cache"]
    assert len({told[f"t{i:06d}"]["metrics"]["val/accuracy"] for i in range(3)}) == 1
    # Four were started; what the cache answered costs the budget nothing.
    assert len(searches.records(tmp_path / "run", "started")) == 4 and len(told) == 6
    standing = Standing(storage, search.objectives)
    standing.update()
    assert standing.counts == {"COMPLETED": 4, "cached": 2} and standing.spent == 4
    assert "4 COMPLETED, 2 cached" in screens.summary(standing, "run")
    assert screens.as_data(standing, "run", "", None)["counts"]["cached"] == 2
    assert "4 COMPLETED, 2 cached" in write(standing, "run", tmp_path / "report", None).read_text()
    assert "6 trials: 4 completed, 2 cached." in note(standing, "1", {})
    table = pq.read_table(tmp_path / "run" / TRIALS)
    assert table["source"].to_pylist().count("cache") == 2


def test_the_trials_of_a_search_are_a_table_for_the_next(tmp_path: Path) -> None:
    mixed = {"categorical": {"none": None, "some": {"rate": {"float": [0.0, 1.0]}, "n": {"categorical": [1, 2.5]}}}}
    space = {**searches.SPACE, "branch": mixed, "mixed": {"categorical": [None, True, 2, "two"]}}
    first = searches.config("plain", space=space, budget={"trials": 30, "epochs": 1})
    drive(first, Storage.open(tmp_path / "first"), executor="local")
    task = {"kind": "table", "path": str(tmp_path / "first" / TRIALS)}
    again = searches.config("plain", space=space, budget={"trials": 31, "epochs": 1}, task=task)
    assert "score" in again.task.metrics()
    drive(again, Storage.open(tmp_path / "again"), executor="local")
    before, after = searches.told(tmp_path / "first"), searches.told(tmp_path / "again")
    assert [after[trial]["metrics"]["score"] for trial in before] == [o["metrics"]["score"] for o in before.values()]
    # The 31st is new.
    assert after["t000030"]["status"] == "FAILED"
    assert "the table has no such candidate" in after["t000030"]["reason"]


def test_a_space_that_the_table_does_not_know_is_refused_before_the_first_trial(tmp_path: Path) -> None:
    search = _search(_cells(tmp_path), space=searches.SPACE)
    with pytest.raises(ValueError, match="only an architecture that writes itself as text"):
        drive(search, Storage.open(tmp_path / "run"), executor="local")
    assert not (tmp_path / "run" / "journal").exists() or not searches.records(tmp_path / "run")
