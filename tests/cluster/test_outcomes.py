from cluster.ledger import Entry
from cluster.outcomes import make_outcome, status_of
from controllers.trial import Status, Trial, Verdict
from search_spaces.candidate import Candidate


def _entry(steps: int, verdict: Verdict = Verdict.CONTINUE, attempt: int = 1, **metrics: float) -> Entry:
    trial = Trial("t000000", Candidate({"x": 1}), seed=0, fidelity=3)
    return Entry(trial, attempt=attempt, steps=steps, metrics=metrics, seconds=7.0, verdict=verdict)


def test_a_trial_that_was_stopped_on_the_way_is_pruned() -> None:
    assert status_of(_entry(2, Verdict.STOP)) is Status.PRUNED
    assert status_of(_entry(3, Verdict.STOP)) is Status.COMPLETED
    assert status_of(_entry(2)) is Status.COMPLETED


def test_metrics_join_what_is_known_beforehand_and_cost_is_in_devices() -> None:
    entry = _entry(3, epoch=1.5, score=0.5)
    made = make_outcome(entry, {"cost/params": 10.0}, Status.COMPLETED, devices=4.0)
    assert dict(made.metrics) == {"cost/params": 10.0, "epoch": 1.5, "score": 0.5}
    assert dict(made.cost) == {"seconds": 7.0, "device_seconds": 28.0, "epochs": 1.5}
    assert made.steps == 3


def test_seconds_that_the_trial_counted_itself_come_first() -> None:
    assert make_outcome(_entry(3, seconds=2.0), {}, Status.COMPLETED).cost["seconds"] == 2.0


def test_a_trial_that_never_ran_cost_nothing() -> None:
    made = make_outcome(_entry(0, attempt=0), {}, Status.INFEASIBLE, "too large")
    assert dict(made.cost) == {} and made.reason == "too large"
