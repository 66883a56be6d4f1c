import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cluster.executors.base import Halt
from cluster.executors.local import LocalExecutor
from cluster.ray_runtime import prepare
from tests.cluster import searches
from trainers.tasks.function import Function

prepare()

from cluster.executors.pool import PoolExecutor  # noqa: E402 - Ray reads its settings when it is imported

pytestmark = [pytest.mark.usefixtures("ray_runtime"), pytest.mark.timeout(180)]
ONE_CPU = {"CPU": 1.0}


@pytest.fixture(autouse=True)
def _pooled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Function, "pooled", ("train",))


def _run(folder: Path, search: Any, actors: int = 2, **options: Any) -> tuple[Any, Halt | None]:
    driver, _, journal, shared = searches.make_driver(search, folder, **options)
    halt = PoolExecutor(shared, ONE_CPU, actors).run(driver)
    journal.close()
    return driver, halt


def test_many_trials_are_out_and_a_batch_is_synced_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync, began = os.fsync, time.monotonic()
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.readlink(f"/proc/self/fd/{file}")), fsync(file))[1])
    search = searches.config("says", budget={"trials": 64, "epochs": 1}, resources={"concurrency": 32})
    driver, halt = _run(tmp_path, search)
    assert halt is None and driver.reason == "budget.trials"
    outcomes = searches.told(tmp_path)
    assert len(outcomes) == 64 and {outcome["status"] for outcome in outcomes.values()} == {"COMPLETED"}
    processes = {outcome["metrics"]["pid"] for outcome in outcomes.values()}
    assert len(processes) == 2 and os.getpid() not in processes
    assert (tmp_path / "logs" / "t000063.txt").read_text() == "hello from t000063\n"
    # 32 at a time over two actors, two batches each: batches of eight.
    assert [len(record.fields["trials"]) for record in searches.records(tmp_path, "asked")] == [8] * 8
    kinds = "".join(record.kind[0] for record in searches.records(tmp_path, "started", "reported", "told"))
    assert kinds.startswith("s" * 32 + "r" * 1) and "rt" * 8 in kinds
    # One a batch of results, and one a second.
    of_journal = [name for name in synced if "/journal/" in name and not name.endswith("LOCK")]
    assert len(of_journal) - (time.monotonic() - began) < 40, "a sync a trial would be 64 and more"


def test_no_more_are_out_than_the_search_says(tmp_path: Path) -> None:
    _run(tmp_path, searches.config("plain", budget={"trials": 7, "epochs": 1}, resources={"concurrency": 3}))
    out = 0
    for record in searches.records(tmp_path, "started", "told"):
        out += 1 if record.kind == "started" else -1
        assert out <= 3
    assert len(searches.told(tmp_path)) == 7


@pytest.mark.parametrize("function", ["climb", "fails_for_odd", "broken", "not_a_number"])
def test_one_at_a_time_gives_what_this_process_gives(tmp_path: Path, function: str) -> None:
    _run(tmp_path / "pool", searches.config(function))
    driver, _, journal, shared = searches.make_driver(searches.config(function), tmp_path / "local")
    LocalExecutor(shared).run(driver)
    journal.close()
    found = [
        [(t, o["status"], o["steps"], str(o["metrics"])) for t, o in searches.told(tmp_path / where).items()]
        for where in ("pool", "local")
    ]
    assert found[0] == found[1]
    assert searches.steps(tmp_path / "pool") == searches.steps(tmp_path / "local")


def test_reports_of_a_batch_come_step_by_step_and_a_stopped_trial_says_no_more(tmp_path: Path) -> None:
    pruner = {"kind": "asha", "grace": 1, "factor": 2}
    search = searches.config(pruner=pruner, budget={"trials": 8, "epochs": 5}, resources={"concurrency": 16})
    _run(tmp_path, search, actors=1)
    steps = searches.steps(tmp_path)
    assert [trial for trial, _ in steps[:8]] == [f"t{i:06d}" for i in range(8)]
    assert [step for _, step in steps] == sorted(step for _, step in steps)
    stopped = {
        r.fields["trial"]: r.fields["step"]
        for r in searches.records(tmp_path, "reported")
        if r.fields["verdict"] == "STOP"
    }
    last = dict(steps)
    assert stopped and all(last[trial] == step for trial, step in stopped.items())
    assert {searches.told(tmp_path)[trial]["status"] for trial in stopped} == {"PRUNED"}


def test_only_the_trial_that_kills_its_process_fails(tmp_path: Path) -> None:
    space = {"n": {"integer": [0, 5]}, "x": 0.5}
    search = searches.config("dies", space=space, budget={"trials": 6, "epochs": 1}, resources={"concurrency": 8})
    _run(tmp_path, search)
    asked = {t["trial_id"]: t for r in searches.records(tmp_path, "asked") for t in r.fields["trials"]}
    outcomes = searches.told(tmp_path)
    assert len(outcomes) == 6
    for trial_id, outcome in outcomes.items():
        odd = asked[trial_id]["candidate"]["n"] % 2
        assert outcome["status"] == ("FAILED" if odd else "COMPLETED")
        if odd:
            assert outcome["reason"].startswith("its process died 3 times; the last time: ")
    attempts = Counter(record.fields["trial"] for record in searches.records(tmp_path, "started"))
    assert max(attempts.values()) == 3


def test_a_trial_that_dies_once_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    _run(tmp_path, searches.config("dies_once", resources={"concurrency": 2}))
    own = [r.fields for r in searches.records(tmp_path, "reported") if r.fields["trial"] == "t000001"]
    # What a lost batch had to say was not heard, so the trial begins anew, and every step is there once.
    assert [(fields["step"], fields["attempt"]) for fields in own] == [(1, 2), (2, 2), (3, 2)]
    assert len(searches.told(tmp_path)) == 6


def test_an_interruption_leaves_what_is_out_pending(tmp_path: Path) -> None:
    search = searches.config("slow", resources={"concurrency": 2})
    driver, _, journal, shared = searches.make_driver(search, tmp_path)
    report = driver.on_report

    def interrupt_at_first(*arguments: Any) -> Any:
        driver.interrupt()
        return report(*arguments)

    driver.on_report = interrupt_at_first  # type: ignore[method-assign]
    assert PoolExecutor(shared, ONE_CPU, 2).run(driver) is Halt.INTERRUPTED
    journal.close()
    told = len(searches.told(tmp_path))
    assert told < 6
    _run(tmp_path, searches.config(resources={"concurrency": 2}))
    assert len(searches.told(tmp_path)) == 6
    assert len(searches.steps(tmp_path)) == len(set(searches.steps(tmp_path))) == 18


def test_an_error_of_the_driver_comes_out_as_it_is(tmp_path: Path) -> None:
    driver, controller, journal, shared = searches.make_driver(searches.config(), tmp_path)

    def tell(*arguments: Any) -> Any:
        raise ZeroDivisionError("in the controller")

    controller.tell = tell  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError, match="in the controller"):
        PoolExecutor(shared, ONE_CPU, 2).run(driver)
    journal.close()
