"""Searches whose trials run in the actor pool, as a user runs them: by the command, with Ray."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cluster.files import write_search
from tests.integration.test_end_to_end import ROOT, deepspace

DATA = ROOT / "../shared/data/nasbench201-12epochs.parquet"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_example_runs_on_the_published_table(tmp_path: Path) -> None:
    if not DATA.is_file():
        pytest.skip(f"no {DATA.name} in {DATA.parent}")
    places = ["--storage", str(tmp_path / "runs"), "--tracking", "none"]
    file = str(ROOT / "examples" / "nasbench201.yaml")
    screen = deepspace(tmp_path, "search", file, "--set", f"task.path={DATA}", "--trials", "40", *places)
    assert "40 COMPLETED" in screen
    deepspace(tmp_path, "resume", "nasbench201", "--trials", "+20", *places)
    rows = pq.read_table(tmp_path / "runs" / "nasbench201" / "trials.parquet").to_pylist()
    assert len(rows) == 60
    table = pq.read_table(DATA, columns=["architecture", "cifar10_val"]).to_pydict()
    worth = dict(zip(table["architecture"], table["cifar10_val"], strict=True))
    for row in rows:
        items = [f"{row[f'p:edges/{i}']}~{source}" for i, source in enumerate((0, 0, 1, 0, 1, 2))]
        text = "+".join(f"|{'|'.join(items[start:end])}|" for start, end in ((0, 1), (1, 3), (3, 6)))
        assert row["m:val/accuracy"] == worth[text]


def test_a_warm_start_ranks_in_the_pool_and_trains_the_best(tmp_path: Path) -> None:
    write_search(tmp_path)
    warm = "warm_start={proxy: proxy/synflow, candidates: 6, best: 2}"
    deepspace(tmp_path, "search", "search.yaml", "--set", warm, "--trials", "3")
    shown = json.loads(deepspace(tmp_path, "show", "small", "--json"))
    assert shown["counts"] == {"proxies": 6, "COMPLETED": 3} and shown["reason"] == "budget.trials"
    rows = pq.read_table(tmp_path / "runs" / "small" / "trials.parquet").to_pylist()
    assert [row["mode"] for row in rows] == ["proxy"] * 6 + ["train"] * 3
    ranked = sorted(rows[:6], key=lambda row: -row["m:proxy/synflow"])
    assert [row["candidate_id"] for row in rows[6:8]] == [row["candidate_id"] for row in ranked[:2]]
    assert all(row["m:val/accuracy"] is None for row in rows[:6])
    # Only what was trained has a run of its own in MLflow.
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("deepspace")
    assert experiment is not None
    tags = [run.data.tags for run in client.search_runs([experiment.experiment_id])]
    assert sorted(tag["deepspace.trial_id"] for tag in tags if "mlflow.parentRunId" in tag) == [
        "t000006",
        "t000007",
        "t000008",
    ]
