"""What every registered controller must keep to: it runs by itself over those that a newcomer adds."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from controllers.base import Controller, make_controller
from controllers.objective import Constraint, Objective
from controllers.state import derive_seed, difference
from controllers.trial import Outcome, Status, Trial, TrialError
from search_spaces.domains import Categorical, Float
from search_spaces.errors import SpecError
from search_spaces.space import Space
from tests.contracts.controller_scenario import config_of, kept, mixed_space, period_of, registered, unit

KINDS = tuple(registered())
OBJECTIVES = [Objective(metric="value")]
TWENTY = Space({"a": Categorical((1, 2, 3, 4)), "b": Categorical(tuple("vwxyz"))})
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _made(kind: str, space: Space | None = None, seed: int = 0, **options: Any) -> Controller[Any]:
    return make_controller(config_of(kind), space or mixed_space(), OBJECTIVES, (), seed, **options)


def _done(trial: Trial, value: float | None = None) -> Outcome:
    source = "run" if trial.same_as is None else "cache"
    metrics = {"value": unit(trial.candidate.to_json()) if value is None else value}
    return Outcome(Status.COMPLETED, metrics, 1, source=source)  # type: ignore[arg-type]


def _run(controller: Controller[Any], trials: int) -> list[Trial]:
    found: list[Trial] = []
    while len(found) < trials and controller.finished is None:
        for trial in controller.ask(min(3, trials - len(found))):
            controller.tell(trial.trial_id, _done(trial))
            found.append(trial)
    return found


def test_candidates_are_of_the_space_and_ids_count_asks(kind: str) -> None:
    space = mixed_space()
    trials = _run(_made(kind, space), 40)
    assert all(space.contains(trial.candidate) for trial in trials)
    assert [trial.trial_id for trial in trials] == [f"t{i:06d}" for i in range(40)]
    assert [trial.seed for trial in trials] == [derive_seed(0, "trial", t.trial_id, bits=32) for t in trials]
    assert len({trial.candidate for trial in trials}) > 20


def test_the_seed_decides(kind: str) -> None:
    first, same, other = (_run(_made(kind, seed=seed), 20) for seed in (1, 1, 2))
    assert first == same
    assert [t.candidate for t in first] != [t.candidate for t in other]
    assert {t.seed for t in first}.isdisjoint(t.seed for t in other)


@pytest.fixture(scope="module")
def played(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(kind)
    for arguments in (["whole", folder, kind], ["rest", folder, kind, "ask0", "middle", "update"]):
        done = subprocess.run(
            [sys.executable, "-m", "tests.contracts.controller_scenario", *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": "random"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.timeout(180)
@pytest.mark.parametrize("cut", ["ask0", "middle", "update"])
def test_a_cut_search_goes_on_bit_for_bit(kind: str, played: Path, cut: str) -> None:
    whole = json.loads((played / "trace.json").read_text())
    rest = json.loads((played / f"{cut}-trace.json").read_text())
    state, at, length = kept(played, cut)
    assert rest == whole[length:]
    assert at["told"] == {"ask0": 0, "middle": period_of(kind) // 2 + 1, "update": period_of(kind)}[cut]
    (end, *_), (other, *_) = kept(played, "end"), kept(played, f"{cut}-end")
    assert difference(end, other) is None
    assert difference(end, state) is not None


def test_the_scenario_is_worth_playing(kind: str, played: Path) -> None:
    whole = json.loads((played / "trace.json").read_text())
    told = [entry for entry in whole if len(entry) == 4 and isinstance(entry[0], str)]
    order = [int(entry[0][1:]) for entry in told]
    assert order != sorted(order)
    assert 1 not in order
    assert {entry[1] for entry in told} >= {"COMPLETED", "FAILED", "PRUNED"}
    assert {entry[3] for entry in told} == {True, False}
    assert len(told) == 7 * period_of(kind)
    state, _, _ = kept(played, "middle")
    assert any(entry["series"] for entry in state["pending"])


def test_failures_are_survived_and_never_the_best(kind: str) -> None:
    controller = _made(kind)
    good: list[str] = []
    for i in range(3 * period_of(kind)):
        (trial,) = controller.ask(1)
        if trial.same_as is not None:
            controller.tell(trial.trial_id, _done(trial))
        elif i % 4 == 0:
            good.append(trial.trial_id)
            controller.tell(trial.trial_id, _done(trial, 0.5))
        else:
            bad = (
                Outcome(Status.FAILED, {"value": 9.0}),
                Outcome(Status.COMPLETED, {"value": math.nan}),
                Outcome(Status.PRUNED, {"value": 9.0}, 1),
            )[i % 4 - 1]
            controller.tell(trial.trial_id, bad)
    assert controller.best == good[0]
    assert controller.pareto_front == (good[0],)


def test_only_failures_are_survived(kind: str) -> None:
    controller = _made(kind)
    for _ in range(3 * period_of(kind)):
        (trial,) = controller.ask(1)
        controller.tell(trial.trial_id, Outcome(Status.FAILED, source="run" if trial.same_as is None else "cache"))
    assert controller.best is None
    assert controller.finished is None


def test_unknown_and_repeated_ids_raise(kind: str) -> None:
    controller = _made(kind)
    (trial,) = controller.ask(1)
    controller.tell(trial.trial_id, _done(trial))
    for name in (trial.trial_id, "t000099", "nonsense"):
        with pytest.raises(TrialError, match=name):
            controller.tell(name, _done(trial))
        with pytest.raises(TrialError, match=name):
            controller.report(name, 1, {"value": 1.0})


def test_a_space_of_twenty_points_is_evaluated_twenty_times(kind: str) -> None:
    controller = _made(kind, TWENTY, budget=100)
    started = 0
    while controller.finished is None and started < 100:
        for trial in controller.ask(4):
            started += trial.same_as is None
            controller.tell(trial.trial_id, _done(trial))
    assert (started, controller.finished) == (20, "exhausted")
    before = controller.state_dict()
    assert controller.ask(5) == []
    assert difference(controller.state_dict(), before) is None
    values = {trial: record.values for trial, record in controller.records.items()}
    for trial, record in controller.records.items():
        if record.trial.same_as is not None:
            assert values[trial] == values[record.trial.same_as]
            assert record.trial.candidate == controller.records[record.trial.same_as].trial.candidate


def test_an_exhausted_search_is_exhausted_after_a_restart(kind: str) -> None:
    controller = _made(kind, TWENTY)
    _run(controller, 10_000)
    again = _made(kind, TWENTY)
    again.load_state_dict(controller.state_dict())
    assert again.ask(3) == []
    assert again.finished == "exhausted"
    assert difference(again.state_dict(), controller.state_dict()) is None


def test_pending_duplicates_are_not_started(kind: str) -> None:
    controller = _made(kind, TWENTY)
    asked = controller.ask(10_000)
    assert controller.finished == "exhausted"
    assert sum(trial.same_as is None for trial in asked) == 20
    names = {trial.trial_id: trial for trial in asked}
    for trial in asked:
        assert trial.same_as is None or names[trial.same_as].candidate == trial.candidate


def test_a_space_with_one_point_is_evaluated_once(kind: str) -> None:
    controller = _made(kind, Space({"a": Categorical((1,)), "b": {"c": 3}}))
    assert len(_run(controller, 9)) == 1
    assert controller.finished == "exhausted"


def test_an_enqueued_candidate_is_handed_out_first_and_learned_with(kind: str) -> None:
    space = mixed_space()
    controller = _made(kind, space)
    wanted = next(space.enumerate()) if space.cardinality() else _made("random", space, 99).ask(1)[0].candidate
    _run(controller, 2)
    controller.enqueue(wanted)
    first, second = controller.ask(2)
    assert first.candidate == wanted
    assert second.candidate != wanted
    for trial in (second, first):
        controller.tell(trial.trial_id, _done(trial))
    _run(controller, 2 * period_of(kind))
    with pytest.raises(SpecError):
        controller.enqueue({"nonsense": 1})


def test_duplicates_run_again_where_they_should(kind: str) -> None:
    controller = _made(kind, TWENTY, duplicates="evaluate")
    trials = _run(controller, 60)
    assert len(trials) == 60
    assert {trial.same_as for trial in trials} == {None}
    assert len({trial.seed for trial in trials}) == 60


def test_repeats_share_candidate_and_group(kind: str) -> None:
    controller = _made(kind, repeats=3)
    trials = [trial for _ in range(12) for trial in controller.ask(1)]
    groups: dict[str | None, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.group, []).append(trial)
    assert [len(group) for group in groups.values()] == [3, 3, 3, 3]
    assert all(len({t.candidate for t in group}) == 1 for group in groups.values())
    for trial in reversed(trials):
        controller.tell(trial.trial_id, _done(trial))


def test_an_infeasible_candidate_is_never_the_best(kind: str) -> None:
    limit = [Constraint(metric="size", max=0.5)]
    controller = make_controller(config_of(kind), mixed_space(), OBJECTIVES, limit, 0)
    sizes = {}
    for _ in range(30):
        (trial,) = controller.ask(1)
        size = unit("size", trial.candidate.to_json())
        sizes[trial.trial_id] = size
        copied = {"source": "run" if trial.same_as is None else "cache"}
        known = Outcome(Status.COMPLETED, {"value": size, "size": size}, 1, **copied)  # type: ignore[arg-type]
        static = Outcome(Status.INFEASIBLE, {"size": size}, **copied)  # type: ignore[arg-type]
        controller.tell(trial.trial_id, static if size > 0.9 else known)
    assert controller.best == max((t for t in sizes if sizes[t] <= 0.5), key=lambda t: sizes[t])


def test_trials_run_to_the_fidelity_of_the_search(kind: str) -> None:
    assert {trial.fidelity for trial in _made(kind, fidelity=7).ask(5)} == {7}


def test_what_it_cannot_handle_is_refused_before_the_first_trial(kind: str) -> None:
    space = Space({"x": {"lr": Float(0.1, 1.0)}})
    config = registered()[kind]()  # type: ignore[call-arg]
    two = [Objective(metric="a"), Objective(metric="b", mode="min")]
    supports = _made(kind).supports
    for needed, objectives, path in (("continuous", OBJECTIVES, "x/lr"), ("multi_objective", two, "objectives")):
        where = space if needed == "continuous" else TWENTY
        if needed in supports:
            assert make_controller(config, where, objectives).ask(1)
        else:
            with pytest.raises(SpecError, match=f"^{path}: controller '{kind}'"):
                make_controller(config, where, objectives)
