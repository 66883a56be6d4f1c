"""What every way of learning shares: the baseline, what is kept of a sample, and a state that goes on bit for bit."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from controllers.rl.learner import Baseline, Drawn, InTurn, Learner, Part, split
from controllers.rl.policy import Policy
from controllers.rl.ppo import PpoUpdate
from controllers.rl.reinforce import ReinforceUpdate
from controllers.state import decode, difference, encode, make_torch_generator
from search_spaces.domains import Categorical, First
from search_spaces.space import Space

SPACE = Space({"a": Categorical((1, 2, 3)), "b": Categorical((1, 2))})


def _learner(kind: str = "ppo") -> Learner:
    policy = Policy(SPACE, make_torch_generator(0, "init"), hidden=5)
    return PpoUpdate(policy, 0.01, 0.9, 0.01, 3, 0.2) if kind == "ppo" else ReinforceUpdate(policy, 0.01, 0.9)


def _drawn(learner: Learner, n: int = 4) -> list[Drawn]:
    generator = make_torch_generator(0, "draw")
    return [Drawn.of(learner.policy.sample(generator), None) for _ in range(n)]


def test_the_baseline_starts_at_the_first_batch_and_looks_back_only() -> None:
    baseline = Baseline(0.9)
    assert baseline.advantages([1.0, 3.0]) == [-1.0, 1.0]
    after = 0.9 * (0.9 * 2.0 + 0.1 * 1.0) + 0.1 * 3.0
    assert baseline.value is not None
    assert math.isclose(baseline.value, after)
    assert math.isclose(baseline.advantages([5.0])[0], 5.0 - after)


def test_what_is_kept_of_a_sample_survives_its_state() -> None:
    kept = Drawn(np.array([1, 0]), np.array([-0.25, -0.5]), (1, 3))
    again = Drawn.from_data(decode(*encode(kept.to_data())))
    assert difference(again.to_data(), kept.to_data()) is None
    assert again.depths == (1, 3)
    assert Drawn.from_data(Drawn(kept.tokens, kept.log_probs, None).to_data()).depths is None


def test_behaviour_is_padded_like_the_log_probabilities() -> None:
    space = Space({"items": First(tuple({"w": Categorical((1, 2, 3))} for _ in range(3)), low=1)})
    seen: list[torch.Tensor] = []

    class Watched(Learner):
        def loss(self, log_probs: Any, behaviour: Any, advantages: Any) -> Any:
            seen.extend((log_probs.detach(), behaviour, advantages))
            return log_probs.sum(1)

    learner = Watched(Policy(space, make_torch_generator(0, "init")), 0.01, 0.9)
    drawn = _drawn(learner, 8)
    learner.update(drawn, [float(i) for i in range(8)])
    assert len({len(kept.log_probs) for kept in drawn}) > 1
    assert torch.allclose(seen[0], seen[1], atol=1e-6)
    assert seen[2].tolist() == [i - 3.5 for i in range(8)]


def test_items_are_split_in_order() -> None:
    assert split([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4, 5]]
    assert split([1, 2], 2) == [[1], [2]]


@pytest.mark.parametrize("kind", ["ppo", "reinforce"])
def test_gradients_of_parts_add_up_to_that_of_the_batch(kind: str) -> None:
    learner = _learner(kind)
    drawn, advantages = _drawn(learner, 5), [0.1, -0.9, 0.4, -0.2, 0.7]
    (whole,) = _gradients(learner, [Part(drawn, advantages, 5)])
    first, second = _gradients(learner, [Part(drawn[:2], advantages[:2], 5), Part(drawn[2:], advantages[2:], 5)])
    assert {"embedding", "softmax", "lstm.0.input"} <= set(whole)
    for name, gradient in whole.items():
        assert torch.allclose(first[name] + second[name], gradient, atol=1e-7), name


def _gradients(learner: Learner, parts: list[Part]) -> list[dict[str, torch.Tensor]]:
    replicas = InTurn(learner)
    replicas.take(parts)
    return replicas.gradients()


def test_a_batch_in_parts_has_one_baseline_and_one_step() -> None:
    whole, parts = _learner(), _learner()
    drawn, rewards = _drawn(whole, 5), [0.1, 0.9, 0.4, 0.2, 0.7]
    whole.update(drawn, rewards)
    parts.update(drawn, rewards, 5)
    assert whole.baseline.value == parts.baseline.value
    assert parts.get_state()["adam"]["steps"] == whole.get_state()["adam"]["steps"]
    assert parts.get_state()["adam"]["steps"]["softmax"] == 3


@pytest.mark.parametrize("kind", ["ppo", "reinforce"])
def test_nothing_to_choose_is_nothing_to_learn(kind: str) -> None:
    learner = _learner(kind)
    learner.policy = Policy(Space({"a": Categorical((1,))}), make_torch_generator(0, "init"))
    before = learner.policy.get_state()
    learner.update(_drawn(learner, 2), [1.0, 0.0])
    assert difference(learner.policy.get_state(), before) is None


@pytest.mark.parametrize("kind", ["ppo", "reinforce"])
def test_it_goes_on_from_its_state_bit_for_bit(kind: str) -> None:
    whole, again = _learner(kind), _learner(kind)
    drawn = _drawn(whole)
    for k in range(6):
        rewards = [math.sin(k + i) for i in range(4)]
        whole.update(drawn, rewards)
        again.update(drawn, rewards)
        fresh = _learner(kind)
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
    expected, learner = _learner(), _learner()
    drawn = _drawn(expected, 2)
    expected.update(drawn, [0.0, 1.0])
    torch.set_num_threads(threads)
    try:
        learner.update(drawn, [0.0, 1.0])
    finally:
        torch.set_num_threads(before)
    assert difference(learner.policy.get_state(), expected.policy.get_state()) is None
