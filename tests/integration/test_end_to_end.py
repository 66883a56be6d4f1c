"""One whole search, as a user runs it: command, Ray Tune, journal, tables, MLflow, screens, report, resume."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cluster.files import write_search

ROOT = Path(__file__).resolve().parents[2]


def deepspace(folder: Path, *arguments: str, code: int = 0) -> str:
    """Runs a command and returns what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cluster.cli", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=170)
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.mark.timeout(240)
def test_a_search_from_its_file_to_its_report(tmp_path: Path) -> None:
    write_search(tmp_path)
    screen = deepspace(tmp_path, "search", "search.yaml", "--set", "controller.kind=reinforce")
    run = tmp_path / "runs" / "small"
    assert f"run:    {run}" in screen
    assert "deepspace ui small\n" in screen
    shown = json.loads(deepspace(tmp_path, "show", "small", "--json"))
    assert shown["counts"] == {"COMPLETED": 3}
    assert shown["reason"] == "budget.trials"
    best = shown["best"]
    assert f"best: {best['trial_id']}" in screen
    assert 0 < best["test"]["test/accuracy"] <= 1
    assert f"{best['metrics']['cost/params']:,.0f}" in screen and f"{best['metrics']['cost/macs']:,.0f}" in screen

    deepspace(tmp_path, "resume", "small", "--trials", "+2")
    rows = pq.read_table(run / "trials.parquet").to_pylist()
    assert [row["trial_id"] for row in rows] == [f"t{number:06d}" for number in range(5)]
    assert {row["status"] for row in rows} == {"COMPLETED"}
    assert {row["attempts"] for row in rows} == {1}
    _check_mlflow(tmp_path, rows)
    _check_files(run)
    page = deepspace(tmp_path, "report", "small").strip()
    assert Path(page).read_text().count("data:image/png;base64,") >= 1
    assert "<svg" in Path(page).read_text()


def _check_mlflow(folder: Path, rows: list[dict[str, object]]) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("deepspace")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=100)
    (parent,) = [found for found in runs if "mlflow.parentRunId" not in found.data.tags]
    children = [found for found in runs if found.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted(child.data.tags["deepspace.trial_id"] for child in children) == [row["trial_id"] for row in rows]
    assert {found.info.status for found in runs} == {"FINISHED"}
    for child in children:
        history = client.get_metric_history(child.info.run_id, "val/accuracy")
        assert [metric.step for metric in history] == [1]
        files = {file.path for file in client.list_artifacts(child.info.run_id)}
        assert {"architecture.json", "architecture.svg"} <= files
    shown = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"best", "report", "trials.csv", "trials.parquet", "pareto_front.csv"} <= shown
    # One report a trial makes no learning curve.
    assert [file.path for file in client.list_artifacts(parent.info.run_id, "report")] == ["report/search.png"]


def _check_files(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert {"search.yaml", "environment.json", "log.txt", "journal", "best.json", "best", "checkpoints"} <= names
    assert {"architecture.json", "recipe.json", "weights.safetensors"} <= {p.name for p in (run / "best").iterdir()}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_same_file_runs_on_cifar10(tmp_path: Path) -> None:
    data = ROOT / "../shared/data"
    if not (data / "cifar10-train.parquet").is_file():
        pytest.skip(f"no cifar10-train.parquet in {data}")
    write_search(tmp_path)
    sets = ["task.data.kind=cifar10", f"task.data.path={data}", "task.data.limit=600", "budget.trials=2"]
    options = [option for change in sets for option in ("--set", change)]
    screen = deepspace(tmp_path, "search", "search.yaml", *options, "--tracking", "none")
    assert "2 COMPLETED" in screen and "test/accuracy" in screen


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("example", ["digits-random", "digits-chain", "digits-nasnet", "text-nascell"])
def test_the_examples_run(example: str, tmp_path: Path) -> None:
    file = ROOT / "examples" / f"{example}.yaml"
    changes = ["budget={trials: 2, epochs: 1}", "pruner=null"]
    options = [option for change in changes for option in ("--set", change)]
    places = ["--storage", str(tmp_path / "runs"), "--tracking", "none"]
    screen = deepspace(tmp_path, "search", str(file), *options, *places)
    assert "2 COMPLETED" in screen
    assert ("\ncontrol:" in file.read_text()) == (f"\n{example}-control  random" in screen)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_winner_is_retrained_larger_and_longer(tmp_path: Path) -> None:
    write_search(tmp_path)
    none = ("--tracking", "none")
    deepspace(tmp_path, "search", "search.yaml", "--trials", "1", *none)
    sets = ["architecture.layers.1.filters=16", "budget.epochs=2"]
    screen = deepspace(tmp_path, "retrain", "small", *(part for text in sets for part in ("--set", text)), *none)
    assert screen.startswith("small-retrain: 1 COMPLETED; budget.trials;") and "test/accuracy" in screen
    (row,) = pq.read_table(tmp_path / "runs" / "small-retrain" / "trials.parquet").to_pylist()
    assert (row["mode"], row["steps"]) == ("retrain", 2)
    assert "retrained: small-retrain\n" in deepspace(tmp_path, "show", "small")
    assert "--trial: unknown trial" in _refused(tmp_path, "retrain", "small", "--trial", "t000009")


def _refused(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cluster.cli", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_stop_ends_a_search_that_resumes(tmp_path: Path) -> None:
    write_search(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cluster.cli", "search", "search.yaml", "--tracking", "none"]
    command += ["--trials", "40", "--set", "budget.epochs=5"]
    driver = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    assert driver.stderr is not None
    # The first trial that was told.
    driver.stderr.readline()
    assert "stops within seconds" in deepspace(tmp_path, "stop", "small")
    assert driver.wait(60) == 130
    before = json.loads(deepspace(tmp_path, "show", "small", "--json"))
    assert before["reason"] == "interrupted"
    done = before["counts"]["COMPLETED"]
    assert 1 <= done < 40
    deepspace(tmp_path, "resume", "small", "--trials", str(done + 2))
    after = json.loads(deepspace(tmp_path, "show", "small", "--json"))
    assert after["counts"]["COMPLETED"] == done + 2
    assert deepspace(tmp_path, "stop", "small") == "small does not run\n"
