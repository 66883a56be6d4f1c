from pathlib import Path

from cluster.history import PENDING, RUNNING, History
from cluster.journal import Journal, Record, read
from cluster.storage import Storage
from controllers.trial import Status
from tests.cluster import samples


def _history(storage: Storage, keep: tuple[str, ...] = ()) -> History:
    history = History(keep)
    for record in read(storage):
        history.apply(record)
    return history


def test_a_trial_goes_from_pending_to_told(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    journal = Journal.open(storage, {})
    samples.ask(journal, samples.trial(3, fidelity=2, group="g", parent_id="t000001", inherit="weights"))
    row = _history(storage).trials["t000003"]
    assert (row.status, row.attempts, row.started, row.told) == (PENDING, 0, None, False)
    assert (row.fidelity, row.group, row.parent_id, row.seed) == (2, "g", "t000001", 2**63 + 3)
    assert row.candidate == samples.trial(3).candidate and row.asked == samples.moment(3, 0)
    samples.start(journal, 3)
    samples.report(journal, 3, 1)
    row = _history(storage).trials["t000003"]
    assert (row.status, row.attempts, row.steps) == (RUNNING, 1, 1)
    assert row.metrics["val/accuracy"] == samples.accuracy(3, 1)
    samples.report(journal, 3, 2)
    samples.tell(journal, 3, 2, Status.PRUNED, reason="median")
    journal.close()
    row = _history(storage, ("val/accuracy",)).trials["t000003"]
    assert (row.status, row.steps, row.reason, row.told) == ("PRUNED", 2, "median", True)
    assert (row.started, row.ended) == (samples.moment(3, 0) + 0.5, samples.moment(3, 2) + 0.25)
    assert row.series == {"val/accuracy": [samples.accuracy(3, 1), samples.accuracy(3, 2)]}
    assert row.metrics["cost/params"] == 103.0 and row.metrics["train/loss"] == 0.5
    assert row.cost == {"seconds": 1.5, "device_seconds": 3.0}


def test_the_first_record_stands(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    journal = Journal.open(storage, {})
    samples.ask(journal, samples.trial(0))
    samples.start(journal, 0)
    samples.report(journal, 0, 1)
    samples.report(journal, 0, 2)
    samples.start(journal, 0, attempt=2)
    samples.report(journal, 0, 2, attempt=2, **{"val/accuracy": 0.0})
    samples.report(journal, 0, 3, attempt=2)
    samples.tell(journal, 0, 3)
    samples.tell(journal, 0, 3, Status.FAILED)
    samples.start(journal, 0, attempt=3)
    journal.close()
    history, news = History(("val/accuracy",)), []
    for record in read(storage):
        news.append(history.apply(record) is not None)
    row = history.trials["t000000"]
    assert row.series["val/accuracy"] == [samples.accuracy(0, step) for step in (1, 2, 3)]
    assert (row.attempts, row.status, row.started) == (2, "COMPLETED", samples.moment(0, 0) + 0.5)
    assert news == [False, True, True, True, True, False, True, True, False, False]


def test_a_cached_trial_never_started(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    journal = Journal.open(storage, {})
    samples.run_trial(journal, 0)
    samples.ask(journal, samples.trial(1, same_as="t000000"))
    samples.tell(journal, 1, 2, source="cache")
    journal.close()
    row = _history(storage).trials["t000001"]
    assert (row.source, row.same_as, row.attempts, row.status, row.steps) == ("cache", "t000000", 0, "COMPLETED", 2)


def test_records_about_nothing_known_are_passed_over() -> None:
    history = History()
    for kind, fields in (("told", {"trial": "t9"}), ("clock", {"seconds": 1.0}), ("end", {"reason": "x"})):
        assert history.apply(Record(0, kind, fields)) is None
    assert history.trials == {}
