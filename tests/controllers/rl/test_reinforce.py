"""The update is the estimate of the paper, and the defaults are its."""

import numpy as np
import torch

from controllers.rl.learner import Drawn, Part
from controllers.rl.policy import Policy
from controllers.rl.reinforce import ReinforceConfig, ReinforceUpdate
from controllers.state import make_torch_generator
from search_spaces.domains import Categorical
from search_spaces.space import Space

SPACE = Space({"a": Categorical((1, 2, 3)), "b": Categorical((1, 2))})


def _learner(rate: float = 0.01, decay: float = 0.9) -> ReinforceUpdate:
    return ReinforceUpdate(Policy(SPACE, make_torch_generator(0, "init"), hidden=5), rate, decay)


def test_the_defaults_are_the_papers() -> None:
    config = ReinforceConfig()
    assert (config.hidden, config.layers, config.init_range, config.learning_rate) == (35, 2, 0.08, 6e-4)
    assert (config.batch, config.exponent, config.grow_by, config.grow_every) == (8, 3.0, 2, 1600)


def test_the_gradient_is_the_mean_over_the_batch_whoever_drew_it() -> None:
    learner, other = _learner(), _learner()
    tokens, rewards = [(0, 1), (2, 0), (1, 1)], [0.5, 0.1, 0.9]
    drawn = [Drawn(np.array(kept), np.array([-9.0, -0.1]), None) for kept in tokens]
    found = learner.gradients(learner.replayed(Part(drawn, learner.baseline.advantages(rewards), 3)))
    log_p = other.policy.evaluate(tokens)[0].sum(1)
    mean = sum(rewards) / 3
    estimate = sum((r - mean) * log_p[k] for k, r in enumerate(rewards)) / 3
    estimate.backward()  # type: ignore[union-attr]
    for name, weight in other.policy.parameters.items():
        if weight.grad is None:
            assert name not in found
        else:
            assert torch.allclose(found[name], -weight.grad, atol=1e-7), name


def test_what_is_rewarded_becomes_likely() -> None:
    learner, generator = _learner(0.05), make_torch_generator(0, "draw")
    for _ in range(60):
        samples = [learner.policy.sample(generator) for _ in range(8)]
        rewards = [float(s.candidate["a"] == 3 and s.candidate["b"] == 1) for s in samples]
        learner.update([Drawn.of(sample, None) for sample in samples], rewards)
    with torch.no_grad():
        assert learner.policy.evaluate([(2, 0)])[0].sum().exp() > 0.9
