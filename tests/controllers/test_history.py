"""The best and the front, whatever the order of telling."""

import json
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from controllers.history import History, Record
from controllers.objective import Objective
from controllers.trial import Outcome, Status, Trial
from search_spaces.candidate import Candidate

UP, DOWN = Objective(metric="x"), Objective(metric="y", mode="min")


def _record(number: int, *values: float, group: str | None = None, feasible: bool = True) -> Record:
    trial = Trial(f"t{number:06d}", Candidate({"a": number}), number, group=group)
    return Record(trial, Outcome(Status.COMPLETED, {}, 1), values or None, feasible)


def _group(trial: Trial) -> str:
    return trial.group or trial.trial_id


def _history(*records: Record, objectives: tuple[Objective, ...] = (UP,)) -> History:
    history = History(objectives)
    for record in records:
        history.add(record)
    return history


def test_the_best_has_the_best_first_objective_and_was_asked_first() -> None:
    records = [_record(0, 1.0), _record(1, 3.0), _record(2, 3.0), _record(1000000, 3.0), _record(4, 2.0)]
    for order in permutations(records):
        assert _history(*order).best == "t000001"
    assert _history(*records, objectives=(DOWN,)).best == "t000000"
    assert _history().best is None


@pytest.mark.parametrize(
    "record",
    [
        _record(1, 9.0, feasible=False),
        replace(_record(1, 9.0), outcome=Outcome(Status.PRUNED)),
        replace(_record(1, 9.0), outcome=Outcome(Status.COMPLETED, source="cache")),
        replace(_record(1), outcome=Outcome(Status.FAILED)),
        replace(_record(1, 9.0), outcome=Outcome(Status.CANCELLED)),
    ],
)
def test_only_completed_feasible_originals_are_ranked(record: Record) -> None:
    history = _history(_record(0, 1.0), record)
    assert (history.best, history.pareto_front, len(history)) == ("t000000", ("t000000",), 2)


def test_repeats_count_as_their_mean() -> None:
    lucky = [_record(0, 9.0, group="t000000"), _record(1, 1.0, group="t000000")]
    steady = [_record(2, 6.0, group="t000002"), _record(3, 6.0, group="t000002")]
    for order in permutations([*lucky, *steady]):
        assert _history(*order).best == "t000002"
    assert _history(*lucky[:1], *steady).best == "t000000"


def test_the_front_holds_what_nothing_dominates_in_ask_order() -> None:
    records = [_record(3, 1.0, 1.0), _record(1, 2.0, 2.0), _record(2, 2.0, 2.0), _record(0, 1.0, 2.0)]
    assert _history(*records, objectives=(UP, DOWN)).pareto_front == ("t000001", "t000003")


def test_a_record_survives_json() -> None:
    for record in (_record(0, 0.1, -2.0, feasible=False), _record(1)):
        assert Record.from_data(json.loads(json.dumps(record.to_data()))) == record


def test_the_front_is_the_same_however_it_is_looked_at() -> None:
    rng = np.random.default_rng(0)
    history, watched = History((UP, DOWN)), History((UP, DOWN))
    for number in rng.permutation(200):
        # Coarse values, so that many are equal; now and then another repeat of an earlier candidate.
        repeat = number % 9 == 0
        values = rng.integers(0, 6, 2).astype(float)
        record = _record(int(number), *values, group=f"t{number - number % 4:06d}" if repeat else None)
        history.add(record)
        watched.add(record)
        points = {_group(r.trial): watched.scores(_group(r.trial)) for r in watched.records.values()}
        kept = [
            name
            for name, mine in points.items()
            if not any(all(a >= b for a, b in zip(p, mine, strict=True)) and p != mine for p in points.values())
        ]
        front = [watched.records[name].trial for name in watched.pareto_front]
        found = [watched.scores(_group(trial)) for trial in front]
        assert sorted(found) == sorted({points[name] for name in kept})
        # Of equals the earliest asked.
        rest = [
            trial for name in kept for trial in [r.trial for r in watched.records.values()] if _group(trial) == name
        ]
        for trial, scores in zip(front, found, strict=True):
            assert trial.number == min(other.number for other in rest if points[_group(other)] == scores)
    assert watched.pareto_front == history.pareto_front
