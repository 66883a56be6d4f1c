"""Proposals and pending trials survive their state; originals are found and forgotten."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from controllers.objective import Constraint, Objective
from controllers.state import decode, difference, encode
from controllers.table import Originals, Pending, Proposal
from controllers.trial import Outcome, Status, Trial
from search_spaces.candidate import Candidate
from search_spaces.domains import Categorical
from search_spaces.space import Space
from search_spaces.spec import Hole, Spec, hole

SPACE = Space({"a": Categorical((1, 2, 3))})
ONE = Candidate({"a": 1})


def _trial(number: int, candidate: Candidate = ONE, **fields: object) -> Trial:
    return Trial(f"t{number:06d}", candidate, 0, **fields)  # type: ignore[arg-type]


def test_a_proposal_survives_its_state() -> None:
    proposal = Proposal(ONE, {"tokens": np.arange(3)}, 4, "t000001", "all", "retrain", "t000002")
    again = Proposal.from_data(decode(*encode(proposal.to_data())), SPACE)
    assert again.candidate == ONE
    assert difference(again.to_data(), proposal.to_data()) is None


def test_the_paths_of_a_proposal_keep_the_order_of_the_space() -> None:
    space = Space({"z": Categorical((1, 2)), "a": Categorical((1, 2))})
    proposal = Proposal(space.candidate({"z": 1, "a": 2}))
    again = Proposal.from_data(decode(*encode(proposal.to_data())), space)
    assert list(again.candidate) == list(proposal.candidate) == ["z", "a"]
    supernet = Proposal(Candidate({}), mode="supernet")
    assert Proposal.from_data(decode(*encode(supernet.to_data())), space) == supernet


def test_a_pending_trial_survives_its_state() -> None:
    entry = Pending(_trial(0, fidelity=3), {"p": np.ones(2)})
    entry.note(2, {"x": 0.1, "unwatched": 1.0}, ("x", "y"))
    entry.stopped = True
    again = Pending.from_data(decode(*encode(entry.to_data())))
    assert (again.trial, again.series, again.step, again.stopped) == (entry.trial, {"x": [0.1]}, 2, True)
    again.note(3, {"x": 1.0}, ("x",))
    assert entry.series == {"x": [0.1]}


@pytest.mark.parametrize(
    ("of", "metrics", "told"), [("best", {"x": 1.0}, 5.0), ("last", {"x": 1.0}, 1.0), ("last", {}, 4.0)]
)
def test_values_come_from_reports_and_the_last_from_the_outcome(
    of: str, metrics: dict[str, float], told: float
) -> None:
    entry = Pending(_trial(0), None)
    for step, value in enumerate((5.0, 4.0), 1):
        entry.note(step, {"x": value}, ("x",))
    record = entry.record(Outcome(Status.COMPLETED, metrics, 2), [Objective(metric="x", of=of)], [])
    assert record.values == (told,)


def test_without_reports_the_outcome_is_all_there_is() -> None:
    record = Pending(_trial(0), None).record(
        Outcome(Status.COMPLETED, {"x": 2.0}), [Objective(metric="x", of="max:5")], []
    )
    assert record.values == (2.0,)


@pytest.mark.parametrize("metrics", [{"x": math.nan}, {"x": math.inf}, {"y": 1.0}])
@pytest.mark.parametrize("status", [Status.COMPLETED, Status.PRUNED])
def test_a_value_that_is_not_finite_fails_the_trial(metrics: dict[str, float], status: Status) -> None:
    record = Pending(_trial(0), None).record(Outcome(status, metrics, 1), [Objective(metric="x")], [])
    assert (record.outcome.status, record.values) == (Status.FAILED, None)
    assert record.outcome.reason == "no finite value of objective 'x'"
    assert record.outcome.steps == 1


def test_feasibility_looks_at_reports_and_outcome() -> None:
    limit = [Constraint(metric="c", max=1.0)]
    objectives = [Objective(metric="x")]
    entry = Pending(_trial(0), None)
    entry.note(1, {"c": 2.0}, ("x", "c"))
    assert not entry.record(Outcome(Status.COMPLETED, {"x": 0.0}), objectives, limit).feasible
    assert entry.record(Outcome(Status.COMPLETED, {"x": 0.0, "c": 1.0}), objectives, limit).feasible
    assert Pending(_trial(0), None).record(Outcome(Status.COMPLETED, {"x": 0.0}), objectives, limit).feasible
    assert not Pending(_trial(0), None).record(Outcome(Status.INFEASIBLE), objectives, limit).feasible


def test_scores_of_reports_are_greater_when_better_and_finite_or_worst() -> None:
    entry = Pending(_trial(0), None)
    entry.note(1, {"x": 2.0, "y": math.nan}, ("x", "y"))
    assert entry.scores([Objective(metric="x", mode="min"), Objective(metric="y")]) == (-2.0, -math.inf)


def test_originals_tell_fidelity_mode_and_parent_apart() -> None:
    originals = Originals(SPACE, 8)
    originals.add(_trial(0, fidelity=8))
    assert originals.of(Proposal(ONE)) == "t000000"
    for other in ({"fidelity": 4}, {"mode": "retrain"}, {"parent_id": "t000000", "inherit": "weights"}):
        assert originals.of(Proposal(ONE, **other)) is None  # type: ignore[arg-type]
    assert originals.of(Proposal(Candidate({"a": 2}))) is None


class Pair(Spec):
    """Two numbers whose order does not matter."""

    first: Hole[int] = 0
    second: Hole[int] = 0

    def canonical(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        low, high = sorted(values.values())
        return {"first": low, "second": high}


def test_equivalent_candidates_have_one_original() -> None:
    space = Space(Pair(first=hole(Categorical((1, 2, 3))), second=hole(Categorical((1, 2, 3)))))
    originals = Originals(space, 1)
    originals.add(_trial(0, Candidate({"first": 1, "second": 2})))
    assert originals.of(Proposal(Candidate({"first": 2, "second": 1}))) == "t000000"
    assert originals.of(Proposal(Candidate({"first": 2, "second": 2}))) is None


def test_forgetting_an_original_lets_the_next_stand_for_it() -> None:
    originals = Originals(SPACE, 1)
    trials = [_trial(0), _trial(1, group="t000000"), _trial(2, same_as="t000000")]
    for trial in trials:
        originals.add(trial)
    originals.add(_trial(3, Candidate({"a": 2})))
    assert originals.candidates == 2
    originals.forget(trials[0])
    assert (originals.of(Proposal(ONE)), originals.candidates) == ("t000001", 2)
    originals.forget(trials[1])
    originals.forget(trials[2])
    assert (originals.of(Proposal(ONE)), originals.candidates) == (None, 1)
