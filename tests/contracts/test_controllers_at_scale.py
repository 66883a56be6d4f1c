"""The benchmark on a small scale: how time and memory are measured."""

import statistics

from benchmarks.controllers_at_scale import filled, growth, policy, times
from controllers.evolution import EvolutionConfig
from controllers.predictor.controller import PredictorConfig
from controllers.random_search import RandomConfig


def test_a_history_of_random_trials_is_told_and_then_the_controller_asks() -> None:
    controller, sizes = filled(EvolutionConfig(), 60)
    assert len(controller.records) == 60 and sizes == []
    assert all(0 < each < 1000 for each in times(controller, 5)) and len(controller.records) == 65


def test_memory_grows_with_the_trials_alone() -> None:
    assert growth(RandomConfig(), 400) < 1.5


def test_what_the_predictor_learns_from_is_bounded() -> None:
    controller, _ = filled(PredictorConfig(points=64), 300)
    assert statistics.median(times(controller, 5)) < 500


def test_a_sample_of_a_policy_is_timed() -> None:
    assert all(0 < each < 2000 for each in policy(3))
