from pathlib import Path
from typing import Any

import pytest

from cluster.driver import DEATHS, IDENTICAL_FAILURES, INFEASIBLE_IN_A_ROW, DriverError
from cluster.executors.base import Answer, Assignment, Failure, Halt
from cluster.executors.local import LocalExecutor
from controllers.trial import Status, Verdict
from tests.cluster import searches
from trainers.trial import Report


def _report(step: int, score: float = 0.5, **more: Any) -> Report:
    return Report(step, {"score": score}, **more)


def _next(driver: Any) -> Assignment:
    answer = driver.next_trial()
    assert isinstance(answer, Assignment)
    return answer


def _finish(driver: Any, given: Assignment, score: float = 0.5) -> None:
    for step in range(1, given.trial.fidelity + 1):
        driver.on_report(given.trial.trial_id, given.attempt, _report(step, score))
    driver.on_end(given.trial.trial_id, given.attempt)


def test_every_record_is_written_before_anything_acts_on_it(tmp_path: Path) -> None:
    driver, controller, _, _ = searches.make_driver(searches.config(), tmp_path)
    given = _next(driver)
    assert [record.kind for record in searches.records(tmp_path)] == ["asked", "started"]
    driver.on_report("t000000", 1, _report(1))
    assert searches.records(tmp_path)[-1].fields["step"] == 1
    seen = []
    tell = controller.tell
    controller.tell = lambda *told: seen.append(searches.records(tmp_path)[-1].kind) or tell(*told)  # type: ignore[method-assign,func-returns-value]
    driver.on_end("t000000", 1)
    assert seen == ["told"]
    assert given.folder == str(tmp_path / "checkpoints" / "t000000")


def test_waits_while_all_of_the_budget_runs_and_is_done_afterwards(tmp_path: Path) -> None:
    search = searches.config(budget={"trials": 2, "epochs": 1})
    driver, _, _, _ = searches.make_driver(search, tmp_path)
    first, second = _next(driver), _next(driver)
    assert driver.next_trial() is Answer.WAIT
    _finish(driver, first)
    assert driver.next_trial() is Answer.WAIT
    _finish(driver, second)
    assert driver.next_trial() is Answer.DONE
    assert driver.reason == "budget.trials"


def test_lookahead_asks_that_many_more_but_never_beyond_the_budget(tmp_path: Path) -> None:
    search = searches.config(lookahead=2, budget={"trials": 4, "epochs": 1})
    driver, _, _, _ = searches.make_driver(search, tmp_path)
    asked = []
    for _ in range(4):
        given = _next(driver)
        asked.append(len(searches.candidates(tmp_path)))
        _finish(driver, given)
    assert asked == [3, 4, 4, 4]
    assert driver.next_trial() is Answer.DONE


def test_the_first_record_of_a_step_stands(tmp_path: Path) -> None:
    driver, controller, _, _ = searches.make_driver(searches.config(), tmp_path)
    _next(driver)
    driver.on_report("t000000", 1, _report(1, 0.1))
    assert driver.on_report("t000000", 1, _report(1, 0.9)) is Verdict.CONTINUE
    driver.on_report("t000000", 1, _report(2, 0.2))
    assert [record.fields["metrics"]["score"] for record in searches.records(tmp_path, "reported")] == [0.1, 0.2]


def test_words_of_an_attempt_that_was_given_up_are_not_heard(tmp_path: Path) -> None:
    driver, _, _, _ = searches.make_driver(searches.config(), tmp_path)
    _next(driver)
    driver.on_report("t000000", 1, _report(1))
    driver.on_lost("t000000", 1, "killed")
    again = _next(driver)
    assert (again.trial.trial_id, again.attempt) == ("t000000", 2)
    assert driver.on_report("t000000", 1, _report(2)) is Verdict.STOP
    driver.on_end("t000000", 1)
    driver.on_lost("t000000", 1, "killed again")
    assert searches.steps(tmp_path) == [("t000000", 1)]
    assert driver.on_report("t000000", 2, _report(2)) is Verdict.CONTINUE


def test_a_trial_whose_process_dies_again_and_again_fails(tmp_path: Path) -> None:
    driver, _, _, _ = searches.make_driver(searches.config(), tmp_path)
    for attempt in range(1, DEATHS + 1):
        given = _next(driver)
        assert (given.trial.trial_id, given.attempt) == ("t000000", attempt)
        driver.on_lost("t000000", attempt, "out of memory")
    assert _next(driver).trial.trial_id == "t000001"
    outcome = searches.told(tmp_path)["t000000"]
    assert outcome["status"] == "FAILED"
    assert outcome["reason"] == f"its process died {DEATHS} times; the last time: out of memory"


def test_a_process_that_dies_after_the_last_report_loses_nothing(tmp_path: Path) -> None:
    driver, _, _, _ = searches.make_driver(searches.config(), tmp_path)
    _next(driver)
    for step in (1, 2, 3):
        driver.on_report("t000000", 1, _report(step))
    driver.on_lost("t000000", 1, "killed")
    assert searches.told(tmp_path)["t000000"]["status"] == "COMPLETED"
    assert _next(driver).trial.trial_id == "t000001"


def test_a_candidate_that_breaks_a_constraint_is_told_at_once_and_not_counted(tmp_path: Path) -> None:
    search = searches.config(
        constraints=[{"metric": "cost/params", "max": 2.0}], budget={"trials": 5, "epochs": 1}, space=searches.SPACE
    )
    driver, controller, journal, shared = searches.make_driver(
        search, tmp_path, static_metrics=lambda spec: {"cost/params": float(spec["n"])}
    )
    LocalExecutor(shared).run(driver)
    journal.close()
    told = searches.told(tmp_path)
    started = {record.fields["trial"] for record in searches.records(tmp_path, "started")}
    infeasible = {trial for trial, outcome in told.items() if outcome["status"] == "INFEASIBLE"}
    assert len(started) == 5 and len(infeasible) > 0 and not started & infeasible
    for trial_id, outcome in told.items():
        n = controller.records[trial_id].trial.candidate["n"]
        assert (trial_id in infeasible) == (n > 2)
        assert outcome["metrics"]["cost/params"] == n
        if trial_id in infeasible:
            assert outcome["reason"] == f"cost/params is {n}, above 2"


def test_a_constraint_that_nothing_keeps_ends_the_search(tmp_path: Path) -> None:
    search = searches.config(constraints=[{"metric": "cost/params", "max": 2.0}])
    driver, _, _, _ = searches.make_driver(search, tmp_path, static_metrics=lambda spec: {"cost/params": 9.0})
    assert driver.next_trial() is Answer.DONE
    driver.close(None)
    assert driver.failed
    assert driver.reason is not None and driver.reason.startswith(f"{INFEASIBLE_IN_A_ROW} candidates in a row")


def test_candidates_that_keep_the_constraint_in_between_let_the_search_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.driver.INFEASIBLE_IN_A_ROW", 3)
    search = searches.config(constraints=[{"metric": "cost/params", "max": 1.0}], budget={"trials": 4, "epochs": 1})
    sizes = iter([9.0, 9.0, 0.0] * 4)
    driver, _, journal, shared = searches.make_driver(
        search, tmp_path, static_metrics=lambda spec: {"cost/params": next(sizes)}
    )
    LocalExecutor(shared).run(driver)
    journal.close()
    assert driver.reason == "budget.trials"


def test_nothing_is_handed_out_after_a_halt(tmp_path: Path) -> None:
    driver, _, _, _ = searches.make_driver(searches.config(lookahead=2), tmp_path)
    _next(driver)
    driver.interrupt()
    assert driver.next_trial() is Answer.WAIT
    assert len(searches.records(tmp_path, "started")) == 1


def test_a_candidate_that_cannot_be_built_fails_and_the_search_goes_on(tmp_path: Path) -> None:
    def static(spec: dict[str, Any]) -> dict[str, float]:
        if spec["n"] % 2:
            raise ValueError("too deep")
        return {}

    search = searches.config(budget={"trials": 4, "epochs": 1})
    driver, controller, journal, shared = searches.make_driver(search, tmp_path, static_metrics=static)
    LocalExecutor(shared).run(driver)
    journal.close()
    told = searches.told(tmp_path)
    failed = [trial for trial, outcome in told.items() if outcome["status"] == "FAILED"]
    assert len(told) - len(failed) == 4
    assert failed and all(controller.records[trial].trial.candidate["n"] % 2 for trial in failed)
    assert all(told[trial]["reason"].startswith("ValueError: too deep (test_driver.py:") for trial in failed)


def test_a_duplicate_takes_the_outcome_of_its_original_and_is_not_counted(tmp_path: Path) -> None:
    search = searches.config(budget={"trials": 2, "epochs": 1}, resources={"concurrency": 2})
    driver, _, journal, _ = searches.make_driver(search, tmp_path)
    for _ in range(3):
        driver.enqueue({"x": 0.5, "n": 1})
    first = _next(driver)
    second = _next(driver)
    assert second.trial.trial_id == "t000003"
    assert list(searches.told(tmp_path)) == []
    _finish(driver, first, 0.7)
    told = searches.told(tmp_path)
    assert [told[f"t00000{i}"]["source"] for i in range(3)] == ["run", "cache", "cache"]
    assert told["t000002"]["metrics"] == told["t000000"]["metrics"] == {"score": 0.7}
    driver.enqueue({"x": 0.5, "n": 1})
    _finish(driver, second)
    assert driver.next_trial() is Answer.DONE
    assert driver.ledger.started == 2


def test_identical_failures_without_a_success_end_the_search(tmp_path: Path) -> None:
    search = searches.config("broken", budget={"trials": 40, "epochs": 3})
    driver, _, journal, shared = searches.make_driver(search, tmp_path)
    LocalExecutor(shared).run(driver)
    driver.close(None)
    journal.close()
    assert len(searches.told(tmp_path)) == IDENTICAL_FAILURES
    assert driver.failed
    # The messages differ, type and place do not.
    assert driver.reason is not None and driver.reason.startswith(
        f"{IDENTICAL_FAILURES} trials failed alike: ValueError: bad luck"
    )


def test_failures_beside_successes_do_not_end_the_search(tmp_path: Path) -> None:
    driver, _, _, _ = searches.make_driver(searches.config(budget={"trials": 20, "epochs": 1}), tmp_path)
    _finish(driver, _next(driver))
    for _ in range(IDENTICAL_FAILURES + 1):
        given = _next(driver)
        driver.on_end(given.trial.trial_id, given.attempt, Failure("boom", "boom"))
    assert driver.reason is None
    driver.close(None)
    assert not driver.failed


def test_a_value_that_is_no_number_is_a_failure(tmp_path: Path) -> None:
    search = searches.config("not_a_number", budget={"trials": 1, "epochs": 2})
    driver, _, journal, shared = searches.make_driver(search, tmp_path)
    LocalExecutor(shared).run(driver)
    driver.close(None)
    journal.close()
    assert searches.told(tmp_path)["t000000"]["status"] == "FAILED"
    assert driver.failed and not (tmp_path / "best.json").exists()


def test_a_stopped_trial_is_pruned(tmp_path: Path) -> None:
    search = searches.config(pruner={"kind": "asha", "grace": 1, "factor": 2}, budget={"trials": 12, "epochs": 3})
    driver, _, journal, shared = searches.make_driver(search, tmp_path)
    LocalExecutor(shared).run(driver)
    journal.close()
    told = searches.told(tmp_path)
    pruned = {trial for trial, outcome in told.items() if outcome["status"] == "PRUNED"}
    stopped = {
        r.fields["trial"]: r.fields["step"]
        for r in searches.records(tmp_path, "reported")
        if r.fields["verdict"] == "STOP"
    }
    assert pruned and pruned == {trial for trial, step in stopped.items() if step < 3}
    assert all(told[trial]["steps"] == stopped[trial] for trial in pruned)


def test_time_that_is_used_up_cancels_what_is_pending(tmp_path: Path) -> None:
    now = 0.0
    search = searches.config(budget={"seconds": 10.0, "epochs": 3})
    driver, _, journal, _ = searches.make_driver(search, tmp_path, clock=lambda: now)
    _finish(driver, _next(driver))
    _next(driver)
    now = 9.9
    assert driver.tick() is None
    now = 10.0
    assert driver.tick() is Halt.EXPIRED
    assert driver.next_trial() is Answer.WAIT
    driver.close(Halt.EXPIRED)
    journal.close()
    told = searches.told(tmp_path)
    assert [told[trial]["status"] for trial in ("t000000", "t000001")] == ["COMPLETED", "CANCELLED"]
    assert driver.reason == "budget.seconds" and not driver.failed
    assert searches.records(tmp_path, "clock")[-1].fields["seconds"] == 10.0


def test_a_controller_that_proposes_nothing_and_waits_for_nothing_is_an_error(tmp_path: Path) -> None:
    driver, controller, _, _ = searches.make_driver(searches.config(), tmp_path)
    controller.ask = lambda n=1: []  # type: ignore[method-assign]
    with pytest.raises(DriverError, match="RandomSearch: proposes nothing and waits for nothing"):
        driver.next_trial()


def test_a_space_with_nothing_new_ends_as_exhausted(tmp_path: Path) -> None:
    search = searches.config(space={"n": {"integer": [0, 3]}, "x": 0.5}, budget={"trials": 50, "epochs": 1})
    driver, _, journal, shared = searches.make_driver(search, tmp_path)
    LocalExecutor(shared).run(driver)
    journal.close()
    assert driver.reason == "exhausted"
    assert sorted(candidate["n"] for candidate in searches.candidates(tmp_path)) == [0, 1, 2, 3]


def test_pending_trials_are_resumed_first_from_their_newest_checkpoint(tmp_path: Path) -> None:
    search = searches.config(resources={"concurrency": 2})
    driver, _, journal, shared = searches.make_driver(search, tmp_path)
    first, second = _next(driver), _next(driver)
    from trainers.checkpoint import save

    name = save(first.folder or "", "1-1.pt", {"step": 1, "state": {"step": 1, "trace": [1]}})
    driver.on_report("t000000", 1, _report(1, checkpoint=name))
    save(first.folder or "", "1-2.pt", {"step": 2, "state": {"step": 2, "trace": [1, 2]}})
    journal.close()

    driver, _, journal, shared = searches.make_driver(search, tmp_path)
    assert not (tmp_path / "checkpoints" / "t000000" / "1-2.pt").exists(), "the journal does not name it"
    again = _next(driver)
    assert (again.trial, again.attempt) == (first.trial, 2)
    assert again.resume_from == str(tmp_path / "checkpoints" / name)
    assert (_next(driver).trial, second.trial.trial_id) == (second.trial, "t000001")
    driver.drop_running("test")
    LocalExecutor(shared).run(driver)
    journal.close()
    traces = [
        r.fields["metrics"].get("trace")
        for r in searches.records(tmp_path, "reported")
        if r.fields["trial"] == "t000000"
    ]
    assert traces == [None, 2.0, 3.0]
    assert {outcome["status"] for outcome in searches.told(tmp_path).values()} == {str(Status.COMPLETED)}


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    driver, _, journal, shared = searches.make_driver(searches.config(), tmp_path)
    given = _next(driver)
    from trainers.checkpoint import save

    for step in (1, 2):
        state = {"step": step, "state": {"step": step, "trace": list(range(1, step + 1))}}
        driver.on_report("t000000", 1, _report(step, checkpoint=save(given.folder or "", f"1-{step}.pt", state)))
    newest = tmp_path / "checkpoints" / "t000000" / "1-2.pt"
    newest.write_bytes(newest.read_bytes()[:-7] + b"garbage")
    journal.close()
    driver, _, journal, shared = searches.make_driver(searches.config(), tmp_path)
    again = _next(driver)
    assert again.resume_from == str(tmp_path / "checkpoints" / "t000000" / "1-1.pt")
    assert "1-2.pt" in caplog.text and "damaged" in caplog.text
    journal.close()


def test_a_controller_that_repeats_itself_leaves_the_time_budget_alone(tmp_path: Path) -> None:
    now = 0.0

    def proposed() -> None:
        nonlocal now
        now += 0.25

    search = searches.config(budget={"seconds": 10.0, "epochs": 1})
    controller = searches.Repeats(search, proposed)
    driver, _, _, _ = searches.make_driver(search, tmp_path, clock=lambda: now, controller=controller)
    _finish(driver, _next(driver))
    assert driver.next_trial() is Answer.WAIT
    assert driver.tick() is Halt.EXPIRED
    assert len(searches.candidates(tmp_path)) == 40


def test_a_request_to_stop_is_seen_between_two_asks(tmp_path: Path) -> None:
    search = searches.config(budget={"trials": 500, "epochs": 1})
    driver, _, _, _ = searches.make_driver(search, tmp_path, controller=searches.Repeats(search))
    _finish(driver, _next(driver))
    driver.upkeep.tick = lambda: len(searches.candidates(tmp_path)) >= 5  # type: ignore[method-assign]
    assert driver.next_trial() is Answer.WAIT
    assert len(searches.candidates(tmp_path)) == 5


def test_while_trials_run_asking_makes_room_for_their_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.driver.ASK_SECONDS", 0.0)
    search = searches.config(budget={"trials": 2, "epochs": 1}, resources={"concurrency": 2})
    driver, _, _, _ = searches.make_driver(search, tmp_path, controller=searches.Repeats(search))
    first = _next(driver)
    for asked in (2, 3, 4):
        assert driver.next_trial() is Answer.WAIT
        assert len(searches.candidates(tmp_path)) == asked
    _finish(driver, first)
    assert len(searches.told(tmp_path)) == 4
    # Nothing runs any more, so nothing is waited for.
    assert driver.next_trial() is Answer.DONE
    assert driver.reason == "converged" and len(searches.candidates(tmp_path)) == 1 + 10 * 2


def test_while_trials_run_infeasible_candidates_make_room_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.driver.ASK_SECONDS", 0.0)
    search = searches.config(constraints=[{"metric": "cost/params", "max": 1.0}], resources={"concurrency": 2})
    sizes = iter([0.0, *[9.0] * 99])
    driver, _, _, _ = searches.make_driver(search, tmp_path, static_metrics=lambda spec: {"cost/params": next(sizes)})
    _next(driver)
    for told in (1, 2):
        assert driver.next_trial() is Answer.WAIT
        assert len(searches.told(tmp_path)) == told


@pytest.mark.parametrize("static", [lambda spec: {"cost/params": 9.0}, lambda spec: {"cost/params": 1 / 0}])
def test_a_search_in_which_nothing_could_start_has_failed(tmp_path: Path, static: Any) -> None:
    space = {"n": {"integer": [0, 2]}, "x": 0.5}
    search = searches.config(space=space, constraints=[{"metric": "cost/params", "max": 1.0}])
    driver, _, journal, shared = searches.make_driver(search, tmp_path, static_metrics=static)
    LocalExecutor(shared).run(driver)
    driver.close(None)
    journal.close()
    assert len(searches.told(tmp_path)) == 3 and searches.records(tmp_path, "started") == []
    assert driver.reason == "exhausted" and driver.failed
