"""Policies as controllers: rewards, growth, what teaches them and what does not, and that they learn."""

import math
from statistics import mean
from typing import Any

import numpy as np
import pytest

from controllers.objective import Objective
from controllers.random_search import RandomConfig, RandomSearch
from controllers.rl.reinforce import Reinforce, ReinforceConfig
from controllers.state import decode, difference, encode
from controllers.trial import Outcome, Status
from search_spaces.architectures.chain import chain
from search_spaces.domains import Categorical, First, Float
from search_spaces.errors import SpecError
from search_spaces.space import Space

SPACE = Space({f"p{i}": Categorical((0, 1, 2, 3)) for i in range(8)})
UP = [Objective(metric="x")]
DOWN = [Objective(metric="x", mode="min")]


def _search(objectives: list[Objective] = UP, space: Space = SPACE, **config: Any) -> Reinforce:
    return Reinforce(ReinforceConfig(**config), space, objectives)


def _reward(search: Reinforce, outcome: Outcome) -> float:
    (trial,) = search.ask()
    found = search.reward(search.tell(trial.trial_id, outcome))
    return math.nan if found is None else found


def _learned(search: Reinforce, *outcomes: Outcome) -> list[float]:
    """The rewards of a batch of so many outcomes, as the policy learns them; none where it learns nothing."""
    update, found = search.learner.update, []

    def spy(drawn: Any, rewards: list[float], *rest: Any) -> None:
        found.extend(rewards)
        update(drawn, rewards, *rest)

    search.learner.update = spy  # type: ignore[method-assign]
    for trial, outcome in zip(search.ask(len(outcomes)), outcomes, strict=True):
        search.tell(trial.trial_id, outcome)
    search.learner.update = update  # type: ignore[method-assign]
    return found


def _done(value: float) -> Outcome:
    return Outcome(Status.COMPLETED, {"x": value}, 1)


def test_rewards_by_hand() -> None:
    assert math.isclose(_reward(_search(), _done(0.5)), 0.125)
    assert math.isclose(_reward(_search(), _done(-0.5)), -0.125)
    assert math.isclose(_reward(_search(exponent=2), _done(-0.5)), -0.25)
    assert math.isclose(_reward(_search(DOWN, exponent=1), _done(0.5)), -0.5)
    perplexity = _search(DOWN, reward="inverse", exponent=2, scale=80)
    assert math.isclose(_reward(perplexity, _done(40.0)), 0.05)
    assert math.isnan(_reward(perplexity, _done(0.0)))


@pytest.mark.parametrize("outcome", [Outcome(Status.FAILED), _done(math.nan), Outcome(Status.INFEASIBLE, {"x": 9.0})])
def test_what_has_no_value_is_worth_nothing_or_the_lowest_so_far(outcome: Outcome) -> None:
    assert _learned(_search(batch=2, exponent=1), outcome, _done(0.5)) == [0.0, 0.5]
    # What is minimized has negative rewards: a failure is worth the worst of them, those that follow it included.
    search = _search(DOWN, batch=4, exponent=1)
    assert _learned(search, outcome, _done(3.0), _done(5.0), _done(1.0)) == [-5.0, -3.0, -5.0, -1.0]
    again = _search(DOWN, batch=4, exponent=1)
    again.load_state_dict(search.state_dict())
    for each in (search, again):
        assert _learned(each, outcome, outcome, _done(1.0), _done(2.0)) == [-5.0, -5.0, -1.0, -2.0]
    assert _learned(_search(batch=2), outcome, outcome) == []


@pytest.mark.parametrize("config", [{"reward": "inverse", "exponent": 2, "scale": 80}, {"exponent": 3}], ids=str)
def test_a_trial_that_diverged_teaches_no_more_than_a_failed_one(config: dict[str, Any]) -> None:
    for bad in (_done(math.exp(400)), _done(1e200), Outcome(Status.FAILED)):
        search = _search(DOWN, batch=2, **config)
        # A perplexity of 40 is worth 80 / 1600; cubed and negative, it is the worst that is known.
        expected = [0.0, 0.05] if "reward" in config else [-64_000.0, -64_000.0]
        assert _learned(search, bad, _done(40.0)) == pytest.approx(expected)
        weights = search.state_dict()["learned"]["policy"].values()
        assert all(bool(np.isfinite(weight).all()) for weight in weights)
        search.ask(3)


def test_a_pruned_trial_is_worth_its_last_value() -> None:
    search = _search([Objective(metric="x", of="max:5")])
    (trial,) = search.ask()
    for step, value in enumerate((0.1, 0.5, 0.2), 1):
        search.report(trial.trial_id, step, {"x": value})
    assert search.reward(search.tell(trial.trial_id, Outcome(Status.PRUNED, {"x": 0.2}, 3))) == 0.125


def test_an_inverse_is_for_what_is_to_be_small() -> None:
    with pytest.raises(SpecError, match="controller/reward"):
        _search(UP, reward="inverse")


def test_the_number_of_layers_grows_as_in_the_paper() -> None:
    config = ReinforceConfig(grow_start=6)
    limits = [config.depths(sampled) for sampled in range(12_800)]
    assert [limits[i] for i in range(0, 12_800, 1600)] == [(0, limit) for limit in range(6, 21, 2)]
    assert [limits[i] for i in range(1599, 12_800, 1600)] == [(0, limit) for limit in range(6, 21, 2)]
    assert ReinforceConfig(grow_start=6, grow_exact=True).depths(1600) == (8, 8)
    assert ReinforceConfig().depths(1600) is None


@pytest.mark.parametrize("exact", [False, True])
def test_growth_holds_every_first_and_goes_on_after_a_restart(exact: bool) -> None:
    space = Space({"items": First(tuple({"w": Categorical((1, 2, 3))} for _ in range(7)), low=1)})
    config = {"grow_start": 2, "grow_every": 30, "grow_exact": exact, "batch": 4}
    search = _search(space=space, **config)
    depths = []
    for i in range(120):
        if i == 40:
            state = search.state_dict()
            search = _search(space=space, **config)
            search.load_state_dict(state)
        (trial,) = search.ask()
        depths.append(trial.candidate["items"])
        source = "run" if trial.same_as is None else "cache"
        search.tell(trial.trial_id, Outcome(Status.COMPLETED, {"x": i % 3 / 3}, 1, source=source))
    windows = [depths[i : i + 30] for i in range(0, 120, 30)]
    assert [max(window) for window in windows] == [2, 4, 6, 7]
    assert [len(set(window)) == 1 for window in windows] == [exact] * 4


def test_what_it_did_not_draw_and_what_was_cancelled_teach_nothing() -> None:
    search = _search(batch=1)
    before = search.state_dict()["learned"]["policy"]
    search.enqueue({f"p{i}": 3 for i in range(8)})
    enqueued, cancelled, failed = search.ask(3)
    search.tell(enqueued.trial_id, _done(1.0))
    search.tell(cancelled.trial_id, Outcome(Status.CANCELLED))
    assert difference(search.state_dict()["learned"]["policy"], before) is None
    search.tell(failed.trial_id, _done(0.0))
    assert search.state_dict()["learned"]["learner"]["baseline"] == 0.0


def test_a_batch_is_eight_told_trials() -> None:
    search = _search()
    before = search.state_dict()["learned"]["policy"]
    trials = search.ask(8)
    for i, trial in enumerate(trials):
        assert difference(search.state_dict()["learned"]["policy"], before) is None
        search.tell(trial.trial_id, _done(i / 8))
    assert difference(search.state_dict()["learned"]["policy"], before) is not None
    assert search.state_dict()["learned"]["batch"] == []


def test_a_continuous_domain_is_refused_by_path_unless_there_are_bins() -> None:
    space = Space({"optimizer": {"lr": Float(0.01, 1.0, log=True)}})
    with pytest.raises(SpecError, match="^optimizer/lr: controller 'reinforce' takes finite domains"):
        _search(space=space)
    search = _search(space=space, bins=3)
    drawn = {search.ask()[0].candidate["optimizer/lr"] for _ in range(40)}
    assert sorted(drawn) == pytest.approx([0.01 * 100 ** (k / 6) for k in (1, 3, 5)])


def test_two_objectives_are_refused() -> None:
    with pytest.raises(SpecError, match="objectives"):
        _search([*UP, *DOWN])


def test_it_beats_random_search_at_equal_budget() -> None:
    def best(search: Reinforce | RandomSearch) -> float:
        top = 0.0
        for _ in range(400):
            (trial,) = search.ask()
            value = mean(trial.candidate[f"p{i}"] == i % 4 for i in range(8))
            top = max(top, value)
            source = "run" if trial.same_as is None else "cache"
            search.tell(trial.trial_id, Outcome(Status.COMPLETED, {"x": value}, 1, source=source))
        return top

    seeds = range(3)
    config = ReinforceConfig(learning_rate=0.01)
    learned = [best(Reinforce(config, SPACE, UP, seed=seed)) for seed in seeds]
    drawn = [best(RandomSearch(RandomConfig(), SPACE, UP, seed=seed)) for seed in seeds]
    assert min(learned) > max(drawn)


def test_growth_without_a_searched_number_of_items_is_refused() -> None:
    with pytest.raises(SpecError, match="^controller/grow_start: nothing grows: .*; got 6; allowed null, or"):
        _search(space=Space(chain(layers=3)), grow_start=6)
    assert _search(space=Space(chain(layers=3, grow=True)), grow_start=6).config.grow_start == 6


def test_a_space_that_leaves_nothing_to_choose_is_searched() -> None:
    space = Space(chain(layers=1, kernels=(3,), filters=(36,)))
    search = Reinforce(ReinforceConfig(batch=2), space, UP, duplicates="evaluate")
    for trial in search.ask(4):
        search.tell(trial.trial_id, _done(0.5))
    assert len(search.records) == 4


def test_replicas_draw_a_batch_ahead_and_go_on_after_a_restart() -> None:
    config = {"batch": 6, "replicas": 2, "learning_rate": 0.05}
    whole, parts = _search(**config), _search(**config)
    for i in range(40):
        if i in (0, 4, 9, 20):  # with samples ahead, and without
            fresh = _search(**config)
            fresh.load_state_dict(decode(*encode(parts.state_dict())))
            parts = fresh
        (trial,), (other,) = whole.ask(), parts.ask()
        assert trial == other
        for search in (whole, parts):
            search.tell(trial.trial_id, _done(trial.candidate["p0"] / 3))
    assert difference(whole.state_dict(), parts.state_dict()) is None
    ahead = whole.state_dict()["learned"]["ahead"]
    assert len(ahead) == 2  # 40 of 42
    one = _search(**config | {"replicas": 1})
    first = [trial.candidate for trial in one.ask(6)]
    assert first == [trial.candidate for trial in _search(**config).ask(6)]


def test_more_replicas_than_samples_are_refused() -> None:
    with pytest.raises(SpecError, match="replicas"):
        ReinforceConfig.from_data({"kind": "reinforce", "batch": 4, "replicas": 5})
