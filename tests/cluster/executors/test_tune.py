import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.executors.base import Halt
from cluster.ray_runtime import prepare
from tests.cluster import searches

prepare()

from cluster.executors.tune import TuneExecutor  # noqa: E402 - Ray reads its settings when it is imported

pytestmark = [pytest.mark.usefixtures("ray_runtime"), pytest.mark.timeout(180)]
ONE_CPU = {"CPU": 1.0}


def _run(folder: Path, search: Any, **options: Any) -> tuple[Any, Halt | None]:
    driver, _, journal, shared = searches.make_driver(search, folder, **options)
    halt = TuneExecutor(shared, ONE_CPU).run(driver)
    journal.close()
    return driver, halt


def test_trials_run_to_their_last_report_in_actors_that_are_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    search = searches.config("says", budget={"trials": 12, "epochs": 1}, resources={"concurrency": 2})
    driver, halt = _run(tmp_path, search)
    assert halt is None and driver.reason == "budget.trials"
    outcomes = searches.told(tmp_path)
    assert len(outcomes) == 12 and {outcome["status"] for outcome in outcomes.values()} == {"COMPLETED"}
    processes = {outcome["metrics"]["pid"] for outcome in outcomes.values()}
    assert len(processes) <= 2 and os.getpid() not in processes
    assert {outcome["metrics"]["threads"] for outcome in outcomes.values()} == {1.0}
    assert (tmp_path / "logs" / "t000011.txt").read_text() == "hello from t000011\n"
    assert list(scratch.glob("deepspace-tune-*")) == []


def test_a_stopped_trial_takes_no_further_step(tmp_path: Path) -> None:
    search = searches.config(pruner={"kind": "asha", "grace": 1, "factor": 2}, budget={"trials": 8, "epochs": 5})
    _run(tmp_path, search)
    stopped = {
        r.fields["trial"]: r.fields["step"]
        for r in searches.records(tmp_path, "reported")
        if r.fields["verdict"] == "STOP"
    }
    last = {trial: step for trial, step in searches.steps(tmp_path)}
    outcomes = searches.told(tmp_path)
    assert stopped and all(last[trial] == step for trial, step in stopped.items())
    assert {outcomes[trial]["status"] for trial in stopped} == {"PRUNED"}
    # Nor was one taken that nobody heard of: its checkpoint would have been the trial's newest.
    assert all(outcomes[trial]["steps"] == step for trial, step in stopped.items())


@pytest.mark.slow
def test_the_same_search_gives_the_same_here_and_in_this_process(tmp_path: Path) -> None:
    from cluster.executors.local import LocalExecutor

    _run(tmp_path / "tune", searches.config())
    driver, _, journal, shared = searches.make_driver(searches.config(), tmp_path / "local")
    LocalExecutor(shared).run(driver)
    journal.close()
    found = [{t: o["metrics"] for t, o in searches.told(tmp_path / where).items()} for where in ("tune", "local")]
    assert found[0] == found[1]
    assert searches.steps(tmp_path / "tune") == searches.steps(tmp_path / "local")


def test_failures_of_trials_leave_the_actor_alive(tmp_path: Path) -> None:
    search = searches.config("fails_for_odd", budget={"trials": 10, "epochs": 1})
    _run(tmp_path, search)
    outcomes = searches.told(tmp_path)
    failed = [outcome for outcome in outcomes.values() if outcome["status"] == "FAILED"]
    assert 0 < len(failed) < 10 and len(outcomes) == 10
    assert all(outcome["reason"].startswith("RuntimeError: odd (searches.py:") for outcome in failed)
    assert all(record.fields["attempt"] == 1 for record in searches.records(tmp_path, "started"))


def test_a_worker_that_dies_goes_on_from_its_newest_checkpoint(tmp_path: Path) -> None:
    search = searches.config("dies_once", resources={"concurrency": 2})
    _run(tmp_path, search)
    started = [(record.fields["trial"], record.fields["attempt"]) for record in searches.records(tmp_path, "started")]
    assert started.count(("t000001", 2)) == 1 and len(started) == 7
    own = [r.fields for r in searches.records(tmp_path, "reported") if r.fields["trial"] == "t000001"]
    assert [(fields["step"], fields["attempt"], fields["metrics"]["trace"]) for fields in own] == [
        (1, 1, 1.0),
        (2, 1, 2.0),
        (3, 2, 3.0),
    ]


@pytest.mark.slow
def test_a_trial_that_kills_its_process_every_time_fails_with_a_reason(tmp_path: Path) -> None:
    search = searches.config("dies", space={"n": {"integer": [0, 1]}, "x": 0.5}, budget={"trials": 2, "epochs": 1})
    _run(tmp_path, search)
    outcomes = searches.told(tmp_path)
    assert sorted(outcome["status"] for outcome in outcomes.values()) == ["COMPLETED", "FAILED"]
    reason = next(outcome["reason"] for outcome in outcomes.values() if outcome["status"] == "FAILED")
    assert reason.startswith("its process died 3 times; the last time: ") and "died" in reason


@pytest.mark.slow
def test_an_interruption_leaves_the_running_trials_pending(tmp_path: Path) -> None:
    search = searches.config("slow", resources={"concurrency": 2})
    driver, _, journal, shared = searches.make_driver(search, tmp_path)
    report = driver.on_report

    def interrupt_at_first(*arguments: Any) -> Any:
        driver.interrupt()
        return report(*arguments)

    driver.on_report = interrupt_at_first  # type: ignore[method-assign]
    began = time.monotonic()
    assert TuneExecutor(shared, ONE_CPU).run(driver) is Halt.INTERRUPTED
    assert time.monotonic() - began < 30
    journal.close()
    assert searches.told(tmp_path) == {}
    _run(tmp_path, searches.config(resources={"concurrency": 2}))
    assert len(searches.told(tmp_path)) == 6
    assert len(searches.steps(tmp_path)) == len(set(searches.steps(tmp_path))) == 18


def test_an_interruption_before_the_first_trial_is_heard_at_once(tmp_path: Path) -> None:
    driver, _, journal, shared = searches.make_driver(searches.config(), tmp_path)
    driver.interrupt()
    began = time.monotonic()
    assert TuneExecutor(shared, ONE_CPU).run(driver) is Halt.INTERRUPTED
    assert time.monotonic() - began < 20
    journal.close()


@pytest.mark.slow
def test_an_error_of_the_driver_comes_out_as_it_is(tmp_path: Path) -> None:
    driver, controller, journal, shared = searches.make_driver(searches.config(), tmp_path)

    def tell(*arguments: Any) -> Any:
        raise ZeroDivisionError("in the controller")

    controller.tell = tell  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError, match="in the controller"):
        TuneExecutor(shared, ONE_CPU).run(driver)
    journal.close()
