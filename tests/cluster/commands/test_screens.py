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


@pytest.mark.parametrize("end", [True, False], ids=["stopped", "killed"])
def test_what_a_driver_that_is_gone_left_does_not_run(tmp_path: Path, end: bool) -> None:
    storage = samples.storage(tmp_path)
    journal = Journal.open(storage, samples.HEADER)
    samples.run_trial(journal, 0)
    samples.ask(journal, samples.trial(1))
    samples.start(journal, 1)
    journal.append("clock", seconds=61.0)
    journal.sync()
    found = Standing(storage, (Objective(metric="val/accuracy"),))
    found.update()
    assert screens.summary(found, "name") == "name: 1 COMPLETED, 1 RUNNING; running 1; 1:01 active"
    data = screens.as_data(found, "name", "/runs/name", None)
    assert (data["running"], data["to_go_on"], data["reason"]) == (1, 0, None)
    if end:
        journal.append("end", reason="interrupted")
    journal.close()
    found.update()
    assert screens.summary(found, "name") == "name: 1 COMPLETED; interrupted; 1 to go on; 1:01 active"
    data = screens.as_data(found, "name", "/runs/name", None)
    assert (data["running"], data["to_go_on"], data["reason"]) == (0, 1, "interrupted")
    assert data["counts"] == {"COMPLETED": 1}
