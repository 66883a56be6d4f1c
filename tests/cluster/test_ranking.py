import json
from pathlib import Path
from typing import Any

from cluster.executors.base import Assignment
from cluster.executors.local import LocalExecutor
from controllers.history import Record
from controllers.trial import Outcome, Status
from tests.cluster import searches
from trainers.trial import Report


def _run(driver: Any, score: float, **more: float) -> str:
    given = driver.next_trial()
    assert isinstance(given, Assignment)
    trial_id = given.trial.trial_id
    for step in range(1, given.trial.fidelity + 1):
        driver.on_report(trial_id, given.attempt, Report(step, {"score": score, **more}))
    driver.on_end(trial_id, given.attempt)
    return trial_id


def test_best_json_follows_every_improvement(tmp_path: Path) -> None:
    driver, _, _, _ = searches.make_driver(searches.config(), tmp_path)
    named = []
    for score in (0.2, 0.1, 0.8, 0.5):
        _run(driver, score)
        named.append(json.loads((tmp_path / "best.json").read_text())["trial_id"])
    assert named == ["t000000", "t000000", "t000002", "t000002"]


def test_checkpoints_of_the_best_stay(tmp_path: Path) -> None:
    search = searches.config(keep=2, budget={"trials": 8, "epochs": 3})
    driver, controller, journal, shared = searches.make_driver(search, tmp_path)
    LocalExecutor(shared).run(driver)
    journal.close()
    ranked = sorted(controller.records.values(), key=lambda record: -(record.values or (0.0,))[0])
    kept = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {record.trial.trial_id for record in ranked[:2]}
    assert sorted(path.name for path in (tmp_path / "checkpoints" / ranked[0].trial.trial_id).iterdir()) == [
        "1-2.pt",
        "1-3.pt",
    ]


def test_of_several_objectives_the_front_stays_beside_the_best(tmp_path: Path) -> None:
    goals = [{"metric": "score"}, {"metric": "size", "mode": "min"}]
    driver, _, _, _ = searches.make_driver(searches.config(objectives=goals, keep=1), tmp_path)
    names = [_run(driver, score, size=size) for score, size in ((0.5, 5.0), (0.9, 9.0), (0.4, 6.0), (0.2, 1.0))]
    assert driver._ranking.kept() == {names[0], names[1], names[3]}


def test_what_may_not_be_the_best_is_not_ranked(tmp_path: Path) -> None:
    driver, controller, _, _ = searches.make_driver(searches.config(keep=5), tmp_path)
    trial_id = _run(driver, 0.5)
    pruned = Record(controller.records[trial_id].trial, Outcome(Status.PRUNED, {"score": 9.0}, 1), (9.0,), True)
    driver._ranking.add(pruned)
    assert driver._ranking.kept() == {trial_id}
