"""The settings that the paper gives."""

from controllers.base import make_controller
from controllers.gradient.controller import DartsConfig, GdasConfig
from controllers.objective import Objective
from search_spaces.architectures.darts import darts
from search_spaces.space import Space


def test_defaults_are_the_papers():
    config = DartsConfig()
    assert (config.order, config.learning_rate, config.beta1, config.beta2, config.weight_decay) == (
        1,
        3e-4,
        0.5,
        0.999,
        1e-3,
    )
    assert (GdasConfig().start_temperature, GdasConfig().end_temperature) == (10.0, 0.1)


def test_both_begin_with_a_supernet():
    for config in (DartsConfig(), GdasConfig()):
        (trial,) = make_controller(config, Space(darts()), [Objective(metric="val/accuracy")]).ask(1)
        assert (trial.mode, len(trial.candidate)) == ("supernet", 0)
