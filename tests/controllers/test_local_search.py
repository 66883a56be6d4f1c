"""Hill climbing: moves to what is better, ends at the top, and starts again."""

from statistics import fmean

import pytest

from controllers.local_search import LocalSearch, LocalSearchConfig, Restarts, RestartsConfig
from controllers.objective import Objective
from controllers.random_search import RandomConfig
from controllers.trial import Outcome, Status
from search_spaces.domains import Categorical, Float, Integer
from search_spaces.space import Space
from tests.controllers.landscapes import best_found, evaluated, recipe, words

OBJECTIVES = [Objective(metric="value")]
LINE = Space({"x": Integer(0, 99)})


def _peaks(x: int) -> float:
    """Two tops: 10 at 20, and 30 at 70."""
    return max(10 - abs(x - 20), 30 - abs(x - 70))


def _visited(controller: LocalSearch | Restarts, trials: int) -> list[int]:
    evaluated(controller, lambda candidate: _peaks(candidate["x"]), trials)
    return [record.trial.candidate["x"] for record in controller.records.values()]


def test_a_climb_goes_up_step_by_step() -> None:
    controller = LocalSearch(LocalSearchConfig(initial=1), LINE, OBJECTIVES)
    controller.enqueue({"x": 10})
    xs = _visited(controller, 13)
    ups = [x for x in xs if x >= 10]
    assert xs[0] == 10 and ups == list(range(10, 10 + len(ups))) and 20 in ups


def test_at_the_top_it_goes_on_from_the_next_best() -> None:
    controller = LocalSearch(LocalSearchConfig(initial=1), LINE, OBJECTIVES)
    controller.enqueue({"x": 20})
    xs = _visited(controller, 7)
    assert xs[0] == 20 and sorted(xs) == [17, 18, 19, 20, 21, 22, 23]


def test_restarts_start_anew_at_random() -> None:
    controller = Restarts(RestartsConfig(), LINE, OBJECTIVES, seed=3)
    controller.enqueue({"x": 20})
    xs = _visited(controller, 60)
    assert sorted(xs[:3]) == [19, 20, 21] and abs(xs[3] - 20) > 2
    assert 70 in xs


def test_a_climb_starts_from_the_best_of_the_first() -> None:
    controller = LocalSearch(LocalSearchConfig(initial=5), LINE, OBJECTIVES, seed=1)
    xs = _visited(controller, 6)
    assert abs(xs[5] - max(xs[:5], key=_peaks)) == 1


def test_several_in_flight_belong_to_one_climb_and_the_rest_is_random() -> None:
    space = Space({"a": Categorical(tuple("pqr")), "b": Categorical(tuple("stu"))})
    controller = LocalSearch(LocalSearchConfig(initial=1), space, OBJECTIVES)
    (start,) = controller.ask()
    controller.tell(start.trial_id, Outcome(Status.COMPLETED, {"value": 1.0}, 1))
    asked = controller.ask(6)
    apart = [sum(a != b for a, b in zip(t.candidate.values(), start.candidate.values(), strict=True)) for t in asked]
    assert apart == [1, 1, 1, 1, 2, 2]


def test_a_failed_neighbour_is_not_climbed_to_and_not_asked_again() -> None:
    controller = LocalSearch(LocalSearchConfig(initial=1), LINE, OBJECTIVES)
    controller.enqueue({"x": 50})
    asked = []
    for i in range(3):
        (trial,) = controller.ask()
        asked.append(trial.candidate["x"])
        failed = Outcome(Status.FAILED, {"value": 99.0}, reason="scripted")
        controller.tell(trial.trial_id, Outcome(Status.COMPLETED, {"value": 1.0}, 1) if i == 0 else failed)
    assert sorted(asked) == [49, 50, 51]
    assert controller.state_dict()["learned"] == {"at": None, "neighbours": [], "left": [], "settled": 1}


def test_a_continuous_decision_is_moved_some_times_a_neighbourhood() -> None:
    space = Space({"x": Float(0.0, 1.0), "y": Categorical((1, 2))})
    controller = LocalSearch(LocalSearchConfig(initial=1, moves=6), space, OBJECTIVES)
    controller.enqueue({"x": 0.5, "y": 1})
    evaluated(controller, lambda candidate: 0.0, 1)
    near = [trial.candidate for trial in controller.ask(7)]
    assert sorted(candidate["y"] for candidate in near) == [1] * 6 + [2]
    assert len({candidate["x"] for candidate in near}) == 7
    found = evaluated(Restarts(RestartsConfig(), space, OBJECTIVES), lambda candidate: -abs(candidate["x"] - 0.3), 80)
    assert max(found) > -0.01


@pytest.mark.parametrize("config", [LocalSearchConfig(), RestartsConfig()], ids=lambda config: config.kind)
def test_it_beats_random_search(config: LocalSearchConfig | RestartsConfig) -> None:
    for landscape, ahead in ((words, 0.1), (recipe, 0.0)):
        best = [
            fmean(best_found(kind, *landscape(seed), trials=120, seed=seed) for seed in range(6))
            for kind in (config, RandomConfig())
        ]
        assert best[0] > best[1] + ahead
