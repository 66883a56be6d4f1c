from pathlib import Path

import pytest

from cluster.executors.base import Halt
from cluster.executors.local import LocalExecutor
from tests.cluster import searches


def test_runs_every_trial_to_its_last_report(tmp_path: Path) -> None:
    driver, controller, journal, shared = searches.make_driver(searches.config(), tmp_path)
    assert LocalExecutor(shared).run(driver) is None
    journal.close()
    assert searches.steps(tmp_path) == [(f"t{i:06d}", step) for i in range(6) for step in (1, 2, 3)]
    assert {outcome["status"] for outcome in searches.told(tmp_path).values()} == {"COMPLETED"}
    assert driver.reason == "budget.trials"
    assert len(controller.records) == 6


@pytest.mark.parametrize("many", [2, 3])
def test_trials_take_turns(tmp_path: Path, many: int) -> None:
    search = searches.config(resources={"concurrency": many})
    driver, _, journal, shared = searches.make_driver(search, tmp_path)
    LocalExecutor(shared).run(driver)
    journal.close()
    first = searches.steps(tmp_path)[: 2 * many]
    assert first == [(f"t{i:06d}", step) for step in (1, 2) for i in range(many)]


def test_a_failure_of_a_trial_does_not_end_the_search(tmp_path: Path) -> None:
    search = searches.config("fails_for_odd", budget={"trials": 12, "epochs": 1})
    driver, _, journal, shared = searches.make_driver(search, tmp_path)
    LocalExecutor(shared).run(driver)
    journal.close()
    told = searches.told(tmp_path)
    asked = [trial for record in searches.records(tmp_path, "asked") for trial in record.fields["trials"]]
    assert len(told) == 12
    for trial in asked:
        outcome = told[trial["trial_id"]]
        failed = bool(trial["candidate"]["n"] % 2)
        assert outcome["status"] == ("FAILED" if failed else "COMPLETED")
        if failed:
            assert outcome["reason"].startswith("RuntimeError: odd (searches.py:")
            log = (tmp_path / "logs" / f"{trial['trial_id']}.txt").read_text()
            assert log.count("RuntimeError: odd") == 1 and "fails_for_odd" in log


def test_halts_between_two_steps_and_leaves_the_trial_pending(tmp_path: Path) -> None:
    driver, _, journal, shared = searches.make_driver(searches.config(), tmp_path)
    executor = LocalExecutor(shared)
    calls = 0

    def interrupt_at_fifth_report(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 5:
            driver.interrupt()
        return original(*arguments)

    original, driver.on_report = driver.on_report, interrupt_at_fifth_report  # type: ignore[method-assign,assignment]
    assert executor.run(driver) is Halt.INTERRUPTED
    journal.close()
    assert len(searches.steps(tmp_path)) == 5
    assert list(searches.told(tmp_path)) == ["t000000"]


def test_what_a_trial_prints_goes_to_its_log_when_captured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = searches.config("says", budget={"trials": 1, "epochs": 1})
    driver, _, journal, shared = searches.make_driver(search, tmp_path)
    LocalExecutor(shared, capture=True).run(driver)
    journal.close()
    assert (tmp_path / "logs" / "t000000.txt").read_text() == "hello from t000000\n"
    assert capsys.readouterr().out == ""
