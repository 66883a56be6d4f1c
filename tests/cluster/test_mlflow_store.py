import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cluster.mlflow_store import RunStore, clean_names, rejected
from tests.cluster import stores


def test_names_become_mlflows_and_stay_different() -> None:
    names = ["val/accuracy", "op/1x1+3x3", "op/1x1_3x3", "acc@1", "a/../b", "x" * 400, "x" * 399 + "y"]
    cleaned = clean_names(names)
    assert cleaned["val/accuracy"] == "val/accuracy" and cleaned["op/1x1+3x3"] == "op/1x1_3x3"
    assert cleaned["op/1x1_3x3"] == "op/1x1_3x3-2" and cleaned["acc@1"] == "acc_1" and cleaned["a/../b"] == "a/_/b"
    assert len(set(cleaned.values())) == len(names) and max(map(len, cleaned.values())) <= 250
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name

    for name in cleaned.values():
        _validate_metric_name(name)
        _validate_param_name(name)


@pytest.fixture
def uri(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return stores.database(tmp_path, tmp_path_factory.mktemp("template"))


def test_the_parent_of_a_search_is_made_once(uri: str) -> None:
    store = RunStore(uri, "digits")
    parent = store.parent("id-1", "chain", 1000)
    assert RunStore(uri, "digits").parent("id-1", "chain", 2000) == parent
    assert store.parent("id-2", "chain", 3000) != parent
    run = stores.client(uri).get_run(parent)
    assert (run.info.run_name, run.info.start_time, run.data.tags["deepspace.search"]) == ("chain", 1000, "chain")


def test_a_database_keeps_a_write_ahead_log(uri: str) -> None:
    RunStore(uri, "digits")
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_settled_database_is_one_file(uri: str, tmp_path: Path) -> None:
    store = RunStore(uri, "digits")
    parent = store.parent("id", "chain", 1000)
    store.settle()
    assert (tmp_path / "mlflow.db-wal").stat().st_size == 0
    (tmp_path / "moved").mkdir()
    shutil.copy(tmp_path / "mlflow.db", tmp_path / "moved" / "mlflow.db")
    assert stores.client(f"sqlite:///{tmp_path}/moved/mlflow.db").get_run(parent).info.run_name == "chain"


def test_sending_twice_changes_nothing(uri: str) -> None:
    store = RunStore(uri, "digits")
    parent = store.parent("id", "chain", 0)
    child = store.child(parent, "t000001", 5000, {"deepspace.mode": "train"})
    for _ in range(2):
        store.log(
            child,
            [("loss", float("nan"), 7000, 1), ("loss", float("inf"), 8000, 2), ("acc@1", 0.5, 8000, 2)],
            {"lr": 0.1, "skips": "[0, 1]", "long": "x" * 9000},
            {"deepspace.status": "COMPLETED"},
        )
        store.status(child, "FINISHED", 9000)
    run = stores.client(uri).get_run(child)
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FINISHED", 5000, 9000)
    assert run.data.params["lr"] == "0.1" and len(run.data.params["long"]) == 5000
    assert [point[0] for point in stores.points(uri, run, "loss")] == [1, 2]
    assert stores.points(uri, run, "acc_1") == [(2, 0.5, 8000)]
    assert store.children(parent) == {"t000001": (child, "FINISHED")}
    store.status(child, "RUNNING")
    assert store.children(parent)["t000001"][1] == "RUNNING"


def test_more_metrics_than_fit_into_one_call_are_sent(uri: str) -> None:
    store = RunStore(uri, "digits")
    child = store.child(store.parent("id", "chain", 0), "t000001", 0, {})
    store.log(child, [("loss", float(step), step, step) for step in range(2500)], {f"p{i}": i for i in range(120)})
    run = stores.client(uri).get_run(child)
    assert len(stores.points(uri, run, "loss")) == 2500 and len(run.data.params) == 100


def test_parameters_that_are_there_stay(uri: str) -> None:
    store = RunStore(uri, "digits")
    parent = store.parent("id", "chain", 0)
    store.add_params(parent, {"seed": 0, "a+b": 1})
    store.add_params(parent, {"seed": 1, "a+b": 2, "new": 3})
    assert stores.client(uri).get_run(parent).data.params == {"seed": "0", "a_b": "1", "new": "3"}
    with pytest.raises(Exception, match="Changing param values is not allowed") as caught:
        store.log(parent, params={"seed": 1})
    assert rejected(caught.value) and not rejected(ConnectionError("away"))


def test_artifacts_lie_beside_the_database(uri: str, tmp_path: Path) -> None:
    store = RunStore(uri, "team/digits")
    parent = store.parent("id", "chain", 0)
    store.upload(parent, "best/architecture.json", b"{}")
    kept = tmp_path / "mlartifacts" / "team_digits" / parent / "artifacts" / "best" / "architecture.json"
    assert kept.read_bytes() == b"{}"


def test_a_deleted_experiment_comes_back(uri: str) -> None:
    first = RunStore(uri, "digits").experiment_id
    stores.client(uri).delete_experiment(first)
    assert RunStore(uri, "digits").experiment_id == first
    assert stores.client(uri).get_experiment(first).lifecycle_stage == "active"


RACE = """
import sys
from cluster.mlflow_store import RunStore
print(RunStore(sys.argv[1], "digits").experiment_id)
"""


@pytest.mark.slow
def test_searches_that_begin_at_once_on_no_database_make_one_experiment(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACE, f"sqlite:///{tmp_path}/mlflow.db"]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0] * 4, outputs
    assert len({output for output, _ in outputs}) == 1
