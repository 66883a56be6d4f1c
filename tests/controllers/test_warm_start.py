from typing import Any

import pytest

from controllers.base import Controller, make_controller
from controllers.objective import Objective
from controllers.random_search import RandomConfig
from controllers.state import difference
from controllers.trial import Outcome, Status, Trial
from controllers.warm_start import WarmStart
from search_spaces.domains import Categorical, Integer
from search_spaces.errors import SpecError
from search_spaces.space import Space

SPACE = Space({"a": Integer(0, 999), "b": Categorical(("x", "y"))})


def _made(space: Space = SPACE, seed: int = 0, repeats: int = 1, **settings: Any) -> Controller[Any]:
    warm = WarmStart(proxy="proxy/a", **settings)
    goal = [Objective(metric="value")]
    return make_controller(RandomConfig(), space, goal, (), seed, repeats=repeats, warm_start=warm)


def _told(controller: Controller[Any], trial: Trial, known: bool = True) -> None:
    source: Any = "run" if trial.same_as is None else "cache"
    if trial.mode == "proxy":
        figures = {"proxy/a": float(trial.candidate["a"])} if known else {}  # type: ignore[arg-type]
    else:
        figures = {"value": 0.5}
    controller.tell(trial.trial_id, Outcome(Status.COMPLETED, figures, 1, source=source))


def test_the_best_of_the_drawn_are_evaluated_first() -> None:
    controller = _made(candidates=20, best=4)
    drawn = controller.ask(50)
    assert len(drawn) == 20 and {(trial.mode, trial.fidelity) for trial in drawn} == {("proxy", 1)}
    assert len({trial.candidate for trial in drawn}) == 20
    # Nothing more before all were told, in whatever order.
    for trial in reversed(drawn):
        assert controller.ask(1) == [] and controller.finished is None
        _told(controller, trial)
    first = controller.ask(4)
    ranked = sorted(drawn, key=lambda trial: -trial.candidate["a"])  # type: ignore[operator]
    assert [trial.candidate for trial in first] == [trial.candidate for trial in ranked[:4]]
    assert {trial.mode for trial in [*first, *controller.ask(30)]} == {"train"}


def test_a_proxy_is_no_result() -> None:
    controller = _made(candidates=3, best=1)
    for trial in controller.ask(3):
        _told(controller, trial)
    assert controller.best is None and controller.pareto_front == ()
    assert {record.outcome.status for record in controller.records.values()} == {Status.COMPLETED}
    (trial,) = controller.ask(1)
    _told(controller, trial)
    assert controller.best == "t000003"


def test_candidates_without_the_figure_are_not_among_the_best() -> None:
    controller = _made(candidates=4, best=3)
    for i, trial in enumerate(controller.ask(4)):
        if i == 0:
            controller.tell(trial.trial_id, Outcome(Status.FAILED, reason="it cannot be built"))
        elif i == 1:
            controller.tell(trial.trial_id, Outcome(Status.INFEASIBLE, {"proxy/a": 1e6}, reason="too large"))
        else:
            _told(controller, trial, known=i == 2)
    assert controller.ask(1)[0].candidate == controller.records["t000002"].trial.candidate
    assert len(controller._queue) == 0


@pytest.mark.parametrize("wanted", [12, 100])
def test_a_small_space_is_ranked_once_and_evaluated_whole(wanted: int) -> None:
    controller = _made(Space({"a": Integer(0, 5), "b": Categorical(("x", "y"))}), candidates=wanted, best=2)
    trials: list[Trial] = []
    while controller.finished is None:
        for trial in controller.ask(5):
            _told(controller, trial)
            trials.append(trial)
    assert controller.finished == "exhausted"
    assert len({trial.candidate for trial in trials if trial.mode == "train"}) == 12
    assert len([trial for trial in trials if trial.mode == "proxy"]) == 12
    assert [trial.candidate["a"] for trial in trials[12:14]] == [5, 5]


def test_proxies_are_not_repeated() -> None:
    controller = _made(repeats=3, candidates=2, best=1)
    drawn = controller.ask(2)
    assert {trial.group for trial in drawn} == {None}
    for trial in drawn:
        _told(controller, trial)
    assert [trial.group for trial in controller.ask(4)] == ["t000002"] * 3 + ["t000005"]


@pytest.mark.parametrize("cut", [0, 3, 6, 8])
def test_a_saved_state_goes_on_alike(cut: int) -> None:
    whole = _made(candidates=6, best=2)
    other: Controller[Any] | None = None
    for number in range(10):
        if number == cut:
            other = _made(candidates=6, best=2)
            other.load_state_dict(whole.state_dict())
        (trial,) = whole.ask(1)
        _told(whole, trial, known=number != 1)
        if other is not None:
            assert other.ask(1) == [trial]
            _told(other, trial, known=number != 1)
    assert other is not None and difference(whole.state_dict(), other.state_dict()) is None


def test_no_more_can_be_best_than_are_ranked() -> None:
    with pytest.raises(SpecError, match="^best: the best are some of the candidates; got 8; allowed <= 4"):
        WarmStart.from_data({"candidates": 4, "best": 8})
