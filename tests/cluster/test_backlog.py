from cluster.backlog import Backlog
from cluster.ledger import Ledger
from controllers.trial import Mode, Trial
from search_spaces.candidate import Candidate


def _backlog(*modes: Mode, budget: int | None = None, lookahead: int = 0) -> tuple[Backlog, Ledger]:
    ledger = Ledger()
    for i, mode in enumerate(modes):
        trial = Trial(f"t{i:06d}", Candidate({"n": i}), 0, mode=mode)
        ledger.apply("asked", {"trials": [trial.to_data()]})
    backlog = Backlog(ledger, ("proxy",), budget, lookahead)
    for entry in ledger.entries.values():
        backlog.add(entry)
    return backlog, ledger


def _start(ledger: Ledger, trial_id: str) -> None:
    ledger.apply("started", {"trial": trial_id, "attempt": ledger[trial_id].attempt + 1, "time": 0.0})


def test_what_was_started_goes_first() -> None:
    backlog, ledger = _backlog("train", "train")
    _start(ledger, "t000001")
    backlog.pop()
    backlog.pop()
    assert backlog.first is None and list(backlog) == []
    backlog.add(ledger["t000000"])
    backlog.add(ledger["t000001"])
    assert list(backlog) == ["t000001", "t000000"]
    assert backlog.first is ledger["t000001"]


def test_a_phase_is_of_one_kind() -> None:
    backlog, ledger = _backlog("train", "proxy")
    train, proxy = ledger["t000000"], ledger["t000001"]
    assert backlog.due(train) and backlog.due(proxy)
    backlog.phase = True
    assert not backlog.due(train) and backlog.due(proxy)
    backlog.phase = False
    assert backlog.due(train) and not backlog.due(proxy)


def test_as_many_are_missing_as_places_are_free_and_the_budget_has() -> None:
    assert _backlog()[0].missing(3) == 3
    assert _backlog("train", lookahead=2)[0].missing(3) == 4
    backlog, ledger = _backlog("train", "proxy", "train", budget=4)
    # Two wait that count; a proxy does not.
    assert backlog.missing(10) == 2
    for trial_id in list(backlog):
        backlog.pop()
        _start(ledger, trial_id)
    assert ledger.started == 2 and backlog.missing(10) == 2
    _start(ledger, "t000000")
    assert ledger.started == 2
