from contextlib import closing
from pathlib import Path

import pytest

from cluster.journal import Journal
from cluster.standing import FailureGroup, Standing, clock_text, number_text
from controllers.objective import Constraint, Objective
from controllers.trial import Status
from tests.cluster import samples

ACCURACY = Objective(metric="val/accuracy", mode="max")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.open(samples.storage(tmp_path), samples.HEADER)


def standing(folder: Path, *objectives: Objective, constraints: tuple[Constraint, ...] = ()) -> Standing:
    made = Standing(samples.storage(folder), objectives or (ACCURACY,), constraints)
    made.update()
    return made


def test_best_is_the_trial_with_the_greatest_value_and_the_earliest_of_equals(tmp_path: Path, journal: Journal) -> None:
    for number in range(6):
        samples.run_trial(journal, number)
    found = standing(tmp_path)
    # Trials 2 and 5 end alike.
    assert found.best is not None and found.best.trial_id == "t000002"
    assert [row.trial_id for row in found.ranked()][:3] == ["t000002", "t000005", "t000001"]
    assert standing(tmp_path, Objective(metric="val/accuracy", mode="min")).best is not None
    worst = standing(tmp_path, Objective(metric="val/accuracy", mode="min")).best
    assert worst is not None and worst.trial_id == "t000000"


def test_of_says_which_reports_count(tmp_path: Path, journal: Journal) -> None:
    samples.run_trial(journal, 0, 4)
    row = standing(tmp_path).rows[0]
    values = [samples.accuracy(0, step) for step in range(1, 5)]
    found = standing(tmp_path, Objective(metric="val/accuracy", of="mean:2"))
    assert found.value(row) == pytest.approx(sum(values[-2:]) / 2)


def test_an_infeasible_or_failed_or_cached_trial_is_never_the_best(tmp_path: Path, journal: Journal) -> None:
    samples.run_trial(journal, 0)
    samples.run_trial(journal, 1, status=Status.FAILED, reason="x")
    samples.run_trial(journal, 2)
    samples.run_trial(journal, 5, source="cache")
    limit = Constraint(metric="cost/params", max=101.0)
    found = standing(tmp_path, constraints=(limit,))
    assert [row.trial_id for row in found.ranked()] == ["t000000"]
    assert found.counts == {"COMPLETED": 2, "FAILED": 1, "cached": 1}


def test_the_front_holds_what_no_other_dominates(tmp_path: Path, journal: Journal) -> None:
    for number in range(4):
        samples.run_trial(journal, number)
    goals = (ACCURACY, Objective(metric="cost/params", mode="min"))
    assert [row.trial_id for row in standing(tmp_path, *goals).front] == ["t000000", "t000001", "t000002"]


def test_failures_are_grouped_by_what_they_say_whatever_the_numbers(tmp_path: Path, journal: Journal) -> None:
    for number, reason in enumerate(("loss is nan at step 3", "loss is nan at step 9", "no memory")):
        samples.run_trial(journal, number, status=Status.FAILED, reason=reason)
    assert standing(tmp_path).failures() == [
        FailureGroup(2, "loss is nan at step 3", "t000000"),
        FailureGroup(1, "no memory", "t000002"),
    ]


def test_update_returns_what_was_told_since(tmp_path: Path, journal: Journal) -> None:
    found = standing(tmp_path)
    samples.run_trial(journal, 0)
    samples.ask(journal, samples.trial(1))
    samples.start(journal, 1)
    assert [row.trial_id for row in found.update()] == ["t000000"]
    assert (found.running, found.spent) == (1, 1)
    samples.tell(journal, 1)
    journal.append("clock", seconds=12.5)
    journal.append("final", trial="t000001", metrics={"test/accuracy": 0.5})
    journal.append("end", reason="budget.trials")
    assert [row.trial_id for row in found.update()] == ["t000001"]
    assert (found.running, found.seconds, found.reason) == (0, 12.5, "budget.trials")
    assert found.finals == {"t000001": {"test/accuracy": 0.5}}


def test_time_left_follows_the_budget_that_ends_first(tmp_path: Path, journal: Journal) -> None:
    assert standing(tmp_path).seconds_left(8, None, 5.0) is None
    for number in range(2):
        samples.run_trial(journal, number)
    found = standing(tmp_path)
    assert found.seconds_left(8, None, 10.0) == pytest.approx(30.0)
    assert found.seconds_left(8, 25.0, 10.0) == pytest.approx(15.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "?"), (5, "0:05"), (59.6, "1:00"), (61, "1:01"), (3723, "1:02:03")]
)
def test_clock_text(seconds: float | None, text: str) -> None:
    assert clock_text(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.98765, "0.9877"), (12345678.0, "12345678"), (3, "3"), ((1, 2), "1, 2"), (1e-5, "1e-05")]
)
def test_number_text(value: object, text: str) -> None:
    assert number_text(value) == text


def test_a_search_that_was_stopped_runs_nothing_and_runs_again_once_it_is_resumed(
    tmp_path: Path, journal: Journal
) -> None:
    samples.run_trial(journal, 0)
    samples.ask(journal, samples.trial(1))
    samples.start(journal, 1)
    found = standing(tmp_path)
    assert (str(found.state()), found.state().trials) == ("running 1", "1 COMPLETED, 1 RUNNING")
    journal.append("end", reason="interrupted")
    journal.close()
    found.update()
    assert (str(found.state()), found.state().trials) == ("interrupted; 1 to go on", "1 COMPLETED")
    with closing(Journal.open(samples.storage(tmp_path), samples.HEADER)) as resumed:
        found.update()
        assert (str(found.state()), found.state().reason) == ("running 1", None)
        samples.start(resumed, 1, attempt=2)
        resumed.sync()
        found.update()
        assert found.reason is None


def test_a_search_that_was_killed_is_interrupted(tmp_path: Path, journal: Journal) -> None:
    assert str(standing(tmp_path).state()) == "not ended"
    samples.ask(journal, samples.trial(0))
    samples.start(journal, 0)
    journal.close()
    assert str(standing(tmp_path).state()) == "interrupted; 1 to go on"
