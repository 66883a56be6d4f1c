"""Regularized evolution: random at first, then children of the best of a sample of the latest."""

from statistics import fmean

import pytest

from controllers.evolution import Evolution, EvolutionConfig
from controllers.objective import Objective
from controllers.random_search import RandomConfig
from controllers.trial import Outcome, Status, Trial
from search_spaces.domains import Categorical
from search_spaces.errors import SpecError
from search_spaces.space import Space
from tests.controllers.landscapes import best_found, evaluated, recipe, words

OBJECTIVES = [Objective(metric="value")]


def _tell(controller: Evolution, trial: Trial, value: float | None) -> None:
    status = Status.FAILED if value is None else Status.COMPLETED
    controller.tell(trial.trial_id, Outcome(status, {} if value is None else {"value": value}, 1))


def _distance(a: Trial, b: Trial) -> int:
    return sum(x != y for x, y in zip(a.candidate.values(), b.candidate.values(), strict=True))


def test_a_child_is_one_move_from_the_best_of_a_sample() -> None:
    controller = Evolution(EvolutionConfig(population=3, sample=3), words(0, 12)[0], OBJECTIVES)
    first = controller.ask(3)
    for value, trial in zip((0.5, 9.0, 0.8), first, strict=True):
        _tell(controller, trial, value)
    children = controller.ask(100)
    assert min(_distance(child, first[1]) for child in children) == 1
    nearest = [min(first, key=lambda parent: _distance(child, parent)) for child in children]
    assert nearest.count(first[1]) == pytest.approx(100 * 19 / 27, abs=12)  # 3 draws from 3 hold it 19 times of 27


def test_the_first_population_is_random_whatever_fails() -> None:
    controller = Evolution(EvolutionConfig(population=4, sample=4), words(0, 12)[0], OBJECTIVES)
    drawn = []
    for value in (9.0, None, None, 0.1, None, None, None, 0.2, None, 0.3):
        (trial,) = controller.ask()
        drawn.append(trial)
        _tell(controller, trial, value)
    assert min(_distance(trial, other) for trial in drawn for other in drawn if trial is not other) > 3
    assert min(_distance(controller.ask()[0], trial) for trial in drawn) == 1


def test_repeats_of_a_candidate_are_one_member_worth_their_mean() -> None:
    config = EvolutionConfig(population=2, sample=2)
    controller = Evolution(config, words(0, 12)[0], OBJECTIVES, repeats=3)
    trials = controller.ask(6)
    assert len({trial.candidate for trial in trials}) == 2
    for value, trial in zip((0.9, 0.1, 0.1, 0.5, None, 0.5), trials, strict=True):
        _tell(controller, trial, value)
    assert controller.state_dict()["learned"]["population"] == ["t000000", "t000003"]
    children = controller.ask(300)[::3]
    near = [_distance(child, trials[3]) < _distance(child, trials[0]) for child in children]
    assert sum(near) == pytest.approx(75, abs=12)  # the mean of the first is less, however lucky one repeat was


def test_the_oldest_leaves_however_good_it_was() -> None:
    controller = Evolution(EvolutionConfig(population=4, sample=4), words(0)[0], OBJECTIVES)
    for i, trial in enumerate(controller.ask(4)):
        _tell(controller, trial, 9.0 if i == 0 else 0.1 * i)
    assert controller.state_dict()["learned"]["population"] == ["t000000", "t000001", "t000002", "t000003"]
    for value in (None, 0.5):
        _tell(controller, controller.ask()[0], value)
    assert controller.state_dict()["learned"]["population"] == ["t000001", "t000002", "t000003", "t000005"]


def test_the_sample_is_drawn_with_replacement() -> None:
    # With replacement 3 draws from 3 miss the best with probability (2/3)**3 = 0.296; without it never.
    controller = Evolution(EvolutionConfig(population=3, sample=3), words(0, 12)[0], OBJECTIVES)
    first = controller.ask(3)
    for value, trial in zip((0.1, 0.2, 0.3), first, strict=True):
        _tell(controller, trial, value)
    children = controller.ask(400)
    missed = sum(_distance(child, first[2]) > 2 for child in children) / 400
    assert missed == pytest.approx(8 / 27, abs=0.08)


def test_what_was_enqueued_is_part_of_the_first_population() -> None:
    space, _ = words(1)
    controller = Evolution(EvolutionConfig(population=2, sample=2), space, OBJECTIVES)
    wanted = next(space.enumerate())
    controller.enqueue(wanted)
    for value, trial in zip((1.0, 0.0), controller.ask(2), strict=True):
        _tell(controller, trial, value)
    assert controller.state_dict()["learned"]["population"] == ["t000000", "t000001"]
    near = [sum(a != b for a, b in zip(t.candidate.values(), wanted.values(), strict=True)) for t in controller.ask(20)]
    assert near.count(1) >= 10


@pytest.mark.parametrize("landscape", [words, recipe])
def test_it_beats_random_search(landscape: type) -> None:
    best = {}
    for config in (EvolutionConfig(), RandomConfig()):
        runs = [best_found(config, *landscape(seed), trials=120, seed=seed) for seed in range(6)]
        best[config.kind] = fmean(runs)
    assert best["evolution"] > best["random"] + (0.1 if landscape is words else 0.0)


def test_a_nearly_used_up_space_is_used_up_and_nothing_is_asked_for_twice() -> None:
    space = Space({"a": Categorical(tuple(range(30))), "b": Categorical(("x", "y"))})
    controller = Evolution(EvolutionConfig(population=5, sample=2), space, OBJECTIVES, budget=100)
    found = evaluated(controller, lambda candidate: -abs(candidate["a"] - 7), 100, at_once=3)
    assert (len(found), len(controller.records), controller.finished) == (60, 60, "exhausted")


def test_a_sample_larger_than_the_population_is_refused() -> None:
    with pytest.raises(SpecError, match="sample: the sample is drawn from the population; got 9; allowed <= 4"):
        EvolutionConfig.from_data({"population": 4, "sample": 9})
