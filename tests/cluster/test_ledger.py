from typing import Any

from cluster.ledger import Entry, Ledger
from controllers.trial import Outcome, Status, Trial, Verdict
from search_spaces.candidate import Candidate


def _trial(number: int, **more: Any) -> Trial:
    return Trial(f"t{number:06d}", Candidate({"x": number}), seed=number, fidelity=3, **more)


def _ledger(count: int = 2) -> Ledger:
    ledger = Ledger()
    ledger.apply("asked", {"n": count, "trials": [_trial(i).to_data() for i in range(count)]})
    return ledger


def _report(ledger: Ledger, step: int, time: float = 0.0, verdict: str = "CONTINUE", done: bool = False) -> Entry:
    fields = {"trial": "t000000", "attempt": 1, "step": step, "time": time, "metrics": {"a": step}, "checkpoint": None}
    ledger.apply("reported", {**fields, "verdict": verdict, "done": done})
    return ledger["t000000"]


def _tell(ledger: Ledger, number: int, status: Status, reason: str | None = None, **fields: Any) -> None:
    outcome = Outcome(status, reason=reason).to_data()
    ledger.apply("told", {"trial": f"t{number:06d}", "outcome": outcome, **fields})


def test_a_trial_counts_as_started_once_however_many_attempts() -> None:
    ledger = _ledger()
    for attempt in (1, 2, 3):
        ledger.apply("started", {"trial": "t000000", "attempt": attempt, "time": 0.0})
    assert ledger.started == 1
    assert ledger["t000000"].attempt == 3
    assert ledger["t000001"].attempt == 0


def test_the_time_between_attempts_is_not_the_trials() -> None:
    ledger = _ledger()
    ledger.apply("started", {"trial": "t000000", "attempt": 1, "time": 10.0})
    _report(ledger, 1, time=12.0)
    ledger.apply("started", {"trial": "t000000", "attempt": 2, "time": 100.0})
    assert _report(ledger, 2, time=103.0).seconds == 5.0


def test_a_trial_has_ended_at_its_last_step_at_its_last_report_or_when_stopped() -> None:
    assert not _report(_ledger(), 2).ended
    assert _report(_ledger(), 3).complete
    assert _report(_ledger(), 1, done=True).complete
    stopped = _report(_ledger(), 1, verdict="STOP")
    assert stopped.ended and not stopped.complete and stopped.verdict is Verdict.STOP


def test_what_is_told_is_no_longer_pending() -> None:
    ledger = _ledger(3)
    _tell(ledger, 1, Status.COMPLETED)
    assert [entry.trial.trial_id for entry in ledger.pending()] == ["t000000", "t000002"]
    assert ledger.succeeded


def test_failures_alike_are_counted_one_after_another() -> None:
    ledger = _ledger(6)
    counts = []
    for number, cause in enumerate(["a", "a", "b", "b", "b"]):
        _tell(ledger, number, Status.FAILED, reason=f"{cause} {number}", fingerprint=cause)
        counts.append(ledger.identical_failures)
    assert counts == [1, 2, 1, 2, 3]
    assert not ledger.succeeded


def test_a_copy_of_an_outcome_proves_nothing() -> None:
    ledger = _ledger()
    copied = Outcome(Status.COMPLETED, source="cache").to_data()
    ledger.apply("told", {"trial": "t000001", "outcome": copied})
    assert not ledger.succeeded
    assert ledger["t000001"].outcome is not None


def test_clock_and_finals_are_kept_and_other_kinds_passed_over() -> None:
    ledger = _ledger()
    ledger.apply("clock", {"seconds": 12.5})
    ledger.apply("final", {"trial": "t000000", "metrics": {"test/accuracy": 0.9}})
    ledger.apply("phase", {"whatever": 1})
    assert ledger.seconds == 12.5
    assert ledger.finals == {"t000000": {"test/accuracy": 0.9}}
