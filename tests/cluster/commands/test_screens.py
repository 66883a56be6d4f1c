import json
from pathlib import Path

import pytest

from cluster.commands import screens
from cluster.journal import Journal
from cluster.standing import Standing
from controllers.objective import Objective
from controllers.trial import Status
from tests.cluster import samples


@pytest.fixture
def standing(tmp_path: Path) -> Standing:
    storage = samples.storage(tmp_path)
    journal = Journal.open(storage, samples.HEADER)
    for number in range(3):
        samples.run_trial(journal, number)
    for number in (3, 4):
        samples.run_trial(journal, number, status=Status.FAILED, reason=f"loss is nan at step {number}")
    journal.append("final", trial="t000002", metrics={"test/accuracy": 0.4321})
    journal.append("clock", seconds=61.0)
    journal.append("end", reason="budget.trials")
    found = Standing(storage, (Objective(metric="val/accuracy"),))
    found.update()
    return found


def test_the_summary_counts(standing: Standing) -> None:
    assert screens.summary(standing, "name") == "name: 3 COMPLETED, 2 FAILED; budget.trials; 1:01 active"


def test_the_winner_shows_val_and_test_figures_cost_and_choices(standing: Standing) -> None:
    assert standing.best is not None
    lines = {tuple(line.split()) for line in screens.winner(standing, standing.best).splitlines()}
    assert {
        ("best:", "t000002"),
        ("val/accuracy", "0.8"),
        ("test/accuracy", "0.4321"),
        ("parameters", "102"),
        ("recipe/mix", "none"),
    } <= lines


def test_failures_are_grouped_with_their_count(standing: Standing) -> None:
    assert screens.failures(standing) == "failed:\n  2 x loss is nan at step 3 (for example t000003)"


def test_json_holds_the_same(standing: Standing) -> None:
    data = json.loads(json.dumps(screens.as_data(standing, "name", "/runs/name", "sqlite:///x.db")))
    assert data["counts"] == {"COMPLETED": 3, "FAILED": 2}
    assert data["tracking"] == "sqlite:///x.db"
    assert data["best"]["trial_id"] == "t000002"
    assert data["best"]["values"] == {"val/accuracy": 0.8}
    assert data["best"]["test"] == {"test/accuracy": 0.4321}
    assert data["failures"][0]["count"] == 2
