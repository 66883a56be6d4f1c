"""The predictor-guided search: random at first, then ahead of random; what is pending counts."""

import itertools
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from controllers.objective import Objective
from controllers.predictor.controller import Predictor, PredictorConfig
from controllers.random_search import RandomConfig
from controllers.state import decode, difference, encode
from controllers.table import Proposal
from controllers.trial import Outcome, Status
from controllers.warm_start import WarmStart
from search_spaces.domains import Categorical, Float
from search_spaces.space import Space
from tests.contracts.controller_scenario import unit
from tests.controllers.landscapes import best_found, evaluated, recipe, words

OBJECTIVES = [Objective(metric="value")]
SMALL = PredictorConfig(moves=16, mutants=16, draws=16)


@pytest.mark.parametrize("landscape", [words, recipe])
def test_it_beats_random_search(landscape: type) -> None:
    best = {}
    for config in (SMALL, RandomConfig()):
        best[config.kind] = fmean(best_found(config, *landscape(seed), trials=40, seed=seed) for seed in range(2))
    assert best["predictor"] > best["random"] + (0.15 if landscape is words else 0.01)


def test_it_finds_the_top_of_a_smooth_hill_within_few_trials() -> None:
    space = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
    found = evaluated(Predictor(SMALL, space, OBJECTIVES), lambda c: -((c["x"] - 0.37) ** 2) - (c["y"] - 0.81) ** 2, 40)
    assert max(found) > -1e-3


def test_what_is_pending_is_not_asked_for_again_nor_what_is_next_to_it() -> None:
    space = Space({"x": Float(0.0, 1.0)})
    controller = Predictor(PredictorConfig(initial=4), space, OBJECTIVES, seed=2)
    evaluated(controller, lambda c: np.sin(9 * c["x"]), 8)
    asked = sorted(trial.candidate["x"] for trial in controller.ask(4))
    assert min(np.diff(asked)) > 0.01


def test_where_trials_fail_it_does_not_stay() -> None:
    space, _ = words(0, 4)
    controller = Predictor(SMALL, space, OBJECTIVES, seed=1)
    failed = []
    for _ in range(60):
        (trial,) = controller.ask()
        bad = trial.candidate["word/0"] in "ab"
        failed.append(bad)
        outcome = Outcome(Status.FAILED) if bad else Outcome(Status.COMPLETED, {"value": 0.5}, 1)
        controller.tell(trial.trial_id, outcome)
    assert sum(failed[30:]) < 0.6 * 30 * 2 / 5


def test_a_copy_from_its_state_asks_the_same() -> None:
    space, value = recipe(0)
    controller = Predictor(SMALL, space, OBJECTIVES, seed=3)
    evaluated(controller, value, 25, at_once=2)
    controller.ask(2)
    other = Predictor(SMALL, space, OBJECTIVES, seed=3)
    other.load_state_dict(controller.state_dict())
    for _ in range(3):
        mine, theirs = controller.ask(2), other.ask(2)
        assert [t.candidate for t in mine] == [t.candidate for t in theirs]
        for both in (controller, other):
            both.tell(mine[0].trial_id, Outcome(Status.COMPLETED, {"value": value(mine[0].candidate)}, 1))
    assert difference(controller.state_dict(), other.state_dict()) is None


def test_the_same_seed_gives_the_same_search_and_another_another() -> None:
    space, value = words(2, 5)
    runs = []
    for seed in (0, 0, 1):
        controller = Predictor(SMALL, space, OBJECTIVES, seed=seed)
        evaluated(controller, value, 20)
        runs.append([record.trial.candidate for record in controller.records.values()])
    assert runs[0] == runs[1] != runs[2]


def test_a_used_up_space_of_equal_candidates_ends() -> None:
    space = Space({"a": Categorical((1, 2, 3)), "b": Categorical((1, 2))})
    controller = Predictor(PredictorConfig(initial=2), space, OBJECTIVES, budget=50)
    found = evaluated(controller, lambda c: c["a"] * c["b"], 50)
    assert (len(found), controller.finished) == (6, "exhausted")


def test_a_metric_that_foretells_the_value_is_learned_from() -> None:
    space = Space({f"n{i}": Categorical(tuple(range(6))) for i in range(4)})
    measured = [space.sample(np.random.default_rng(i)) for i in range(100)]
    means: dict[tuple[str, ...], list[float]] = {(): [], ("proxy",): []}
    for features, seed in itertools.product(means, range(6)):
        controller = Predictor(PredictorConfig(features=features), space, OBJECTIVES, seed=seed)
        controller._queue += [Proposal(candidate, mode="proxy") for candidate in measured]
        for trial in controller.ask(100):
            metrics = {"proxy": 3 * unit(trial.candidate.to_json()) - 1}
            controller.tell(
                trial.trial_id, Outcome(Status.COMPLETED, metrics, source="cache" if trial.same_as else "run")
            )
        means[features] += evaluated(controller, lambda candidate: unit(candidate.to_json()), 40)[10:]
    assert fmean(means["proxy",]) > fmean(means[()]) + 0.05


def test_what_proxies_measure_is_known_before_and_after_a_cut() -> None:
    space = Space({f"n{i}": Categorical(tuple(range(6))) for i in range(4)})
    config, warm = PredictorConfig(initial=4, features=("proxy/nwot",)), WarmStart(candidates=30, best=5)

    def play(controller: Predictor, trials: int) -> list[Any]:
        asked = []
        for _ in range(trials):
            (trial,) = controller.ask()
            value = unit(trial.candidate.to_json())
            metrics = {"proxy/nwot": 3 * value} if trial.mode == "proxy" else {"value": value}
            copied = {"source": "cache"} if trial.same_as else {}
            controller.tell(trial.trial_id, Outcome(Status.COMPLETED, metrics, 1, **copied))  # type: ignore[arg-type]
            asked.append(trial.candidate)
        return asked

    whole, first, again = (Predictor(config, space, OBJECTIVES, warm_start=warm) for _ in range(3))
    asked = play(first, 40)
    assert len(list(first._measures.candidates)) >= 30
    again.load_state_dict(decode(*encode(first.state_dict())))
    assert asked + play(again, 15) == play(whole, 55)
    assert difference(again.state_dict(), whole.state_dict()) is None
