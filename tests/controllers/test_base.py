"""What the base does for every controller: ids, seeds, duplicates, repeats, enqueuing, reports, endings."""

import json
import math

import pytest

from controllers.base import Controller, ControllerConfig, make_controller
from controllers.history import Record
from controllers.objective import Constraint, Objective
from controllers.pruners import AshaConfig, MedianConfig
from controllers.random_search import RandomConfig, RandomSearch
from controllers.state import State, StateError, decode, derive_seed, difference, encode
from controllers.table import Proposal
from controllers.trial import Outcome, Status, TrialError, Verdict
from search_spaces.candidate import Candidate
from search_spaces.domains import Categorical
from search_spaces.errors import SpecError
from search_spaces.space import Space

OBJECTIVES = [Objective(metric="x")]
SPACE = Space({"a": Categorical(tuple(range(50)))})


class Scripted(Controller[RandomConfig]):
    """Takes its proposals from a list; None waits. It declares no config type, so that nobody finds it."""

    def __init__(self, script: list[int | None], **options: object) -> None:
        self.script = script
        self.updates: list[tuple[str, Status, State | None]] = []
        super().__init__(RandomConfig(), SPACE, OBJECTIVES, **options)  # type: ignore[arg-type]

    def _propose(self) -> Proposal | None:
        if not self.script or self.script[0] is None:
            return None
        value = self.script.pop(0)
        return Proposal(Candidate({"a": value}), {"value": value})

    def _update(self, record: Record, memo: State | None) -> None:
        self.updates.append((record.trial.trial_id, record.outcome.status, memo))


def _done(value: float, **fields: object) -> Outcome:
    return Outcome(Status.COMPLETED, {"x": value}, 1, **fields)  # type: ignore[arg-type]


def test_ids_count_asks_and_seeds_come_from_root_and_id() -> None:
    search = RandomSearch(RandomConfig(), SPACE, OBJECTIVES, seed=7, fidelity=3)
    trials = [*search.ask(2), *search.ask(1)]
    assert [trial.trial_id for trial in trials] == ["t000000", "t000001", "t000002"]
    assert [trial.seed for trial in trials] == [derive_seed(7, "trial", t.trial_id, bits=32) for t in trials]
    assert {trial.fidelity for trial in trials} == {3}
    assert search.pending == tuple(trials)
    assert search.ask(0) == []


def test_fewer_than_asked_for_means_tell_me_more_and_changes_nothing() -> None:
    search = Scripted([1, 2, None])
    assert [trial.candidate["a"] for trial in search.ask(5)] == [1, 2]
    before = search.state_dict()
    assert search.ask(5) == []
    assert search.finished is None
    assert difference(search.state_dict(), before) is None


def test_a_duplicate_names_its_original_told_or_pending_and_copies_what_it_was_worth() -> None:
    search = Scripted([1, 1, 1])
    first, second = search.ask(2)
    assert second.same_as == first.trial_id
    with pytest.raises(TrialError, match="t000001: a duplicate of t000000 is told after it"):
        search.tell(second.trial_id, _done(1.0, source="cache"))
    search.report(first.trial_id, 1, {"x": 0.5})
    search.tell(first.trial_id, Outcome(Status.COMPLETED, {}, 1))
    with pytest.raises(TrialError, match="source='run'"):
        search.tell(second.trial_id, _done(9.0))
    (third,) = search.ask(1)
    assert third.same_as == first.trial_id
    for trial in (third, second):
        record = search.tell(trial.trial_id, Outcome(Status.COMPLETED, {}, 1, source="cache"))
        assert (record.values, record.outcome.status) == ((0.5,), Status.COMPLETED)
    assert search.best == first.trial_id
    assert [update[0] for update in search.updates] == ["t000000", "t000002", "t000001"]


def test_duplicates_of_a_failure_fail_and_those_of_a_cancelled_trial_run() -> None:
    search = Scripted([1, 1, 2, 2, 2])
    failed, copy, cancelled, waiting = search.ask(4)
    search.tell(failed.trial_id, _done(math.nan))
    copied = search.tell(copy.trial_id, _done(math.nan, source="cache")).outcome
    assert (copied.status, copied.reason) == (Status.FAILED, "no finite value of objective 'x'")
    search.tell(cancelled.trial_id, Outcome(Status.CANCELLED))
    search.tell(waiting.trial_id, Outcome(Status.CANCELLED, source="cache"))
    (again,) = search.ask(1)
    assert again.same_as is None


def test_evaluate_runs_duplicates_again_and_never_ends() -> None:
    search = Scripted([1] * 200, duplicates="evaluate", budget=1)
    assert {trial.same_as for trial in search.ask(150)} == {None}
    assert search.finished is None


def test_a_controller_that_only_repeats_itself_has_converged() -> None:
    search = Scripted([1] * 20 + [2] + [1] * 200, budget=3)
    assert len(search.ask(20)) == 20
    assert search.finished is None
    assert len(search.ask(200)) == 1 + 30
    assert search.finished == "converged"
    assert search.ask(1) == []


def test_without_a_budget_in_trials_a_controller_converges_too() -> None:
    search = Scripted([1] * 1200)
    assert len(search.ask(1200)) == 1 + 1000
    assert search.finished == "converged"


def test_repeats_are_counted_over_a_restart() -> None:
    search = Scripted([1] * 20, budget=3)
    search.ask(20)
    again = Scripted([1] * 200, budget=3)
    again.load_state_dict(decode(*encode(search.state_dict())))
    assert len(again.ask(200)) == 30 - 19
    assert again.finished == "converged"


def test_after_a_restart_the_original_is_still_the_first_asked() -> None:
    search = Scripted([1], repeats=2)
    _, second = search.ask(2)
    search.tell(second.trial_id, _done(1.0))
    again = Scripted([1], repeats=2)
    again.load_state_dict(search.state_dict())
    assert [trial.same_as for trial in again.ask(1)] == ["t000000"]


def test_unknown_and_repeated_ids_raise() -> None:
    search = Scripted([1, 2])
    (trial,) = search.ask(1)
    for call in (lambda: search.tell("t000007", _done(1.0)), lambda: search.report("t000007", 1, {})):
        with pytest.raises(TrialError, match="'t000007': it was not asked"):
            call()
    search.tell(trial.trial_id, _done(1.0))
    for call in (lambda: search.tell("t000000", _done(1.0)), lambda: search.report("t000000", 1, {})):
        with pytest.raises(TrialError, match="'t000000': it has ended"):
            call()


def test_reports_come_in_the_order_of_steps() -> None:
    search = Scripted([1], fidelity=9)
    search.ask(1)
    search.report("t000000", 3, {"x": 1.0})
    for step in (3, 2):
        with pytest.raises(TrialError, match=f"got step {step} after 3"):
            search.report("t000000", step, {"x": 1.0})


def test_the_pruner_sees_the_told_value_so_far_and_stopped_stays_stopped() -> None:
    search = Scripted([1, 2, 3], fidelity=8, pruner=AshaConfig(grace=2))
    search.objectives = (Objective(metric="x", of="best"),)
    good, lucky, bad = search.ask(3)
    assert search.report(good.trial_id, 1, {"x": 0.5}) is Verdict.CONTINUE
    assert search.report(good.trial_id, 2, {"x": 0.1}) is Verdict.CONTINUE
    search.report(lucky.trial_id, 1, {"x": 0.6})
    assert search.report(lucky.trial_id, 2, {"x": 0.0}) is Verdict.CONTINUE
    search.report(bad.trial_id, 1, {"x": 0.3})
    assert search.report(bad.trial_id, 2, {"other": 9.0}) is Verdict.CONTINUE  # nothing to judge
    assert search.report(bad.trial_id, 3, {"x": math.nan}) is Verdict.STOP
    assert search.report(bad.trial_id, 4, {"x": 9.0}) is Verdict.STOP


def test_copies_do_not_count_as_completed_trials() -> None:
    search = Scripted([1, 1, 1, 2], fidelity=3, pruner=MedianConfig(startup=2))
    first, *copies, bad = search.ask(4)
    search.report(first.trial_id, 1, {"x": 1.0})
    search.tell(first.trial_id, _done(1.0))
    for copy in copies:
        search.tell(copy.trial_id, _done(1.0, source="cache"))
    assert search.report(bad.trial_id, 1, {"x": 0.0}) is Verdict.CONTINUE


def test_enqueued_candidates_go_first_in_their_order() -> None:
    search = Scripted([1, 2, 3], repeats=2)
    (first,) = search.ask(1)
    search.enqueue({"a": 40})
    search.enqueue({"a": 41})
    trials = search.ask(5)
    assert [trial.candidate["a"] for trial in trials] == [40, 41, 1, 40, 41]
    assert trials[2].group == first.group == "t000000"
    with pytest.raises(SpecError, match=r"^a: "):
        search.enqueue({"a": 99})


def test_an_enqueued_candidate_revives_a_finished_search() -> None:
    search = Scripted([1] * 99, budget=1)
    search.ask(99)
    assert search.finished == "converged"
    search.enqueue({"a": 5})
    assert search.finished is None
    assert [trial.candidate["a"] for trial in search.ask(3)] == [5]
    assert search.finished == "converged"


def test_repeats_share_a_group_and_differ_in_seed() -> None:
    search = Scripted([1, 2, 1], repeats=3)
    trials = search.ask(6)
    assert [trial.group for trial in trials] == ["t000000"] * 3 + ["t000003"] * 3
    assert len({trial.seed for trial in trials}) == 6
    assert {trial.same_as for trial in trials} == {None}
    (duplicate,) = search.ask(5)
    assert (duplicate.same_as, duplicate.group) == ("t000000", "t000000")
    for trial, value in zip(trials, (9.0, 0.0, 0.0, 4.0, 4.0, 4.0), strict=True):
        search.tell(trial.trial_id, _done(value))
    assert search.best == "t000003"


def test_every_outcome_reaches_the_algorithm_with_its_memo() -> None:
    search = Scripted([0, 1, 2, 3, 4])
    search.enqueue({"a": 9})
    trials = search.ask(6)
    statuses = [Status.COMPLETED, Status.PRUNED, Status.FAILED, Status.INFEASIBLE, Status.CANCELLED, Status.COMPLETED]
    for trial, status in zip(trials, statuses, strict=True):
        search.tell(trial.trial_id, Outcome(status, {"x": 1.0}))
    memos = [None, *({"value": i} for i in range(5))]
    assert search.updates == [(t.trial_id, s, m) for t, s, m in zip(trials, statuses, memos, strict=True)]


def test_judging_changes_nothing() -> None:
    search = Scripted([1])
    search.constraints = (Constraint(metric="c", max=1.0),)
    search.ask(1)
    before = search.state_dict()
    record = search.judge("t000000", Outcome(Status.COMPLETED, {"x": 1.0, "c": 2.0}))
    assert not record.feasible
    assert difference(search.state_dict(), before) is None
    assert search.tell("t000000", Outcome(Status.COMPLETED, {"x": 1.0, "c": 2.0})) == record
    assert search.best is None


def test_a_state_in_the_middle_of_everything_goes_on() -> None:
    def made() -> RandomSearch:
        return RandomSearch(
            RandomConfig(), SPACE, OBJECTIVES, seed=3, fidelity=8, repeats=2, pruner=AshaConfig(factor=2)
        )

    whole = made()
    trials = whole.ask(3)
    whole.enqueue({"a": 7})
    for trial in trials:
        whole.report(trial.trial_id, 1, {"x": trial.candidate["a"]})
    whole.tell(trials[1].trial_id, _done(1.0))
    whole.tell(trials[0].trial_id, Outcome(Status.CANCELLED))
    data, arrays = encode(whole.state_dict())
    again = made()
    again.load_state_dict(decode(json.loads(json.dumps(data)), arrays))
    assert difference(again.state_dict(), whole.state_dict()) is None
    for search in (again, whole):
        search.report(trials[2].trial_id, 2, {"x": 0.0})
    assert again.ask(60) == whole.ask(60)
    assert again.best == whole.best
    assert difference(again.state_dict(), whole.state_dict()) is None


def test_a_state_of_something_else_is_refused_untouched() -> None:
    other = Scripted([1], seed=3)
    before = other.state_dict()
    for wrong, named in (
        (before | {"kind": "other"}, "kind"),
        (before | {"schema": 99}, "schema 99"),
        (before | {"space": "0" * 16}, "space"),
        (before | {"seed": 4}, "seed"),
    ):
        with pytest.raises(StateError, match=named):
            other.load_state_dict(wrong)
    assert difference(other.state_dict(), before) is None


def test_controllers_are_found_by_config_and_must_be_one_each() -> None:
    assert isinstance(make_controller(RandomConfig(), SPACE, OBJECTIVES), RandomSearch)
    with pytest.raises(SpecError, match="controller"):
        make_controller(ControllerConfig.model_construct(), SPACE, OBJECTIVES)
    with pytest.raises(TypeError, match="two controllers of RandomConfig"):

        class Other(RandomSearch):
            """Takes a config that is taken."""

            config_type = RandomConfig


def test_repeats_are_at_least_one() -> None:
    with pytest.raises(SpecError, match="repeats"):
        Scripted([], repeats=0)
