"""The update is the estimate of the paper, the baseline its moving average."""

import math

import pytest
import torch

from controllers.rl.policy import Policy
from controllers.rl.reinforce import Baseline, ReinforceUpdate
from controllers.state import decode, difference, encode, make_torch_generator
from search_spaces.domains import Categorical
from search_spaces.space import Space

SPACE = Space({"a": Categorical((1, 2, 3)), "b": Categorical((1, 2))})


def _learner(rate: float = 0.01, decay: float = 0.9) -> ReinforceUpdate:
    return ReinforceUpdate(Policy(SPACE, make_torch_generator(0, "init"), hidden=5), rate, decay)


def test_the_baseline_starts_at_the_first_batch_and_looks_back_only() -> None:
    baseline = Baseline(0.9)
    assert baseline.advantages([1.0, 3.0]) == [-1.0, 1.0]
    after = 0.9 * (0.9 * 2.0 + 0.1 * 1.0) + 0.1 * 3.0
    assert baseline.value is not None
    assert math.isclose(baseline.value, after)
    assert math.isclose(baseline.advantages([5.0])[0], 5.0 - after)


def test_the_gradient_is_the_mean_over_the_batch() -> None:
    learner, other = _learner(), _learner()
    tokens, rewards = [(0, 1), (2, 0), (1, 1)], [0.5, 0.1, 0.9]
    learner.update(tokens, [None] * 3, rewards)
    log_p = other.policy.evaluate(tokens)[0].sum(1)
    mean = sum(rewards) / 3
    estimate = sum((r - mean) * log_p[k] for k, r in enumerate(rewards)) / 3
    estimate.backward()  # type: ignore[union-attr]
    for name, weight in learner.policy.parameters.items():
        expected = other.policy.parameters[name].grad
        if expected is None:
            assert weight.grad is None
        else:
            assert weight.grad is not None
            assert torch.allclose(weight.grad, -expected, atol=1e-7), name


def test_what_is_rewarded_becomes_likely() -> None:
    learner, generator = _learner(0.05), make_torch_generator(0, "draw")
    for _ in range(60):
        samples = [learner.policy.sample(generator) for _ in range(8)]
        rewards = [float(s.candidate["a"] == 3 and s.candidate["b"] == 1) for s in samples]
        learner.update([s.tokens for s in samples], [None] * 8, rewards)
    with torch.no_grad():
        assert learner.policy.evaluate([(2, 0)])[0].sum().exp() > 0.9


def test_nothing_to_choose_is_nothing_to_learn() -> None:
    space = Space({"a": Categorical((1,))})
    learner = ReinforceUpdate(Policy(space, make_torch_generator(0, "init")), 0.01, 0.9)
    before = learner.policy.get_state()
    learner.update([(0,)] * 2, [None] * 2, [1.0, 0.0])
    assert difference(learner.policy.get_state(), before) is None


def test_it_goes_on_from_its_state_bit_for_bit() -> None:
    tokens = [(0, 1), (2, 0), (1, 1), (1, 0)]
    whole, again = _learner(), _learner()
    again.policy.set_state(decode(*encode(whole.policy.get_state())))
    again.set_state(decode(*encode(whole.get_state())))
    for k in range(6):
        rewards = [math.sin(k + i) for i in range(4)]
        whole.update(tokens, [None] * 4, rewards)
        again.update(tokens, [None] * 4, rewards)
        fresh = _learner()
        fresh.policy.set_state(decode(*encode(again.policy.get_state())))
        fresh.set_state(decode(*encode(again.get_state())))
        again = fresh
        for state, other in (
            (whole.get_state(), again.get_state()),
            (whole.policy.get_state(), again.policy.get_state()),
        ):
            assert difference(state, other) is None


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    before = torch.get_num_threads()
    expected = _learner()
    expected.update([(0, 1), (2, 0)], [None] * 2, [0.0, 1.0])
    torch.set_num_threads(threads)
    try:
        learner = _learner()
        learner.update([(0, 1), (2, 0)], [None] * 2, [0.0, 1.0])
    finally:
        torch.set_num_threads(before)
    assert difference(learner.policy.get_state(), expected.policy.get_state()) is None
