"""The surrogate is clipped as in the paper, its gradient is that of finite differences, old samples are bounded."""

import math
from statistics import mean

import numpy as np
import pytest
import torch

from controllers.base import make_controller
from controllers.objective import Objective
from controllers.rl.learner import Drawn, Part
from controllers.rl.policy import Policy
from controllers.rl.ppo import PpoConfig, PpoUpdate
from controllers.rl.reinforce import ReinforceUpdate
from controllers.rl.uniform import UniformConfig
from controllers.state import difference, make_torch_generator
from controllers.trial import Outcome, Status
from search_spaces.domains import Categorical
from search_spaces.space import Space

SPACE = Space({"a": Categorical((1, 2, 3)), "b": Categorical((1, 2))})
TOKENS = [(0, 1), (2, 0), (1, 1)]


def _learner(rate: float = 0.01, epochs: int = 1, clip: float = 0.2, entropy: float = 0.0) -> PpoUpdate:
    policy = Policy(SPACE, make_torch_generator(0, "init"), hidden=5, init_range=1.0)
    return PpoUpdate(policy, rate, 0.9, entropy, epochs, clip)


def _drawn(learner: PpoUpdate | ReinforceUpdate, shift: float = 0.0) -> list[Drawn]:
    """Samples whose choices were so much more likely, in log-probability, when they were drawn."""
    with torch.no_grad():
        log_p = learner.policy.evaluate(TOKENS)[0].double().numpy()
    return [Drawn(np.array(tokens), row + shift, None) for tokens, row in zip(TOKENS, log_p, strict=True)]


def test_the_defaults_are_the_papers() -> None:
    config = PpoConfig()
    assert (config.hidden, config.layers, config.init_range, config.learning_rate) == (100, 1, 0.1, 3.5e-4)
    assert (config.batch, config.entropy, config.baseline_decay, config.exponent) == (20, 1e-5, 0.95, 1.0)


@pytest.mark.parametrize(
    ("ratio", "advantage", "worth", "moves"),
    [
        (1.1, 2.0, 2.2, True),
        (1.3, 2.0, 2.4, False),  # likelier than wanted: clipped
        (0.5, 2.0, 1.0, True),  # the other way the gradient stays
        (0.9, -2.0, -1.8, True),
        (0.5, -2.0, -1.6, False),
        (1.5, -2.0, -3.0, True),
    ],
)
def test_the_surrogate_by_hand(ratio: float, advantage: float, worth: float, moves: bool) -> None:
    now = torch.tensor([[math.log(0.4)]], requires_grad=True)
    old = torch.tensor([[math.log(0.4 / ratio)]])
    loss = _learner().loss(now, old, torch.tensor([advantage]))
    assert loss.shape == (1,)
    assert math.isclose(-loss.item(), worth, rel_tol=1e-5)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert now.grad is not None
    assert math.isclose(-float(now.grad), ratio * advantage if moves else 0.0, rel_tol=1e-5, abs_tol=1e-9)


def test_where_nothing_has_moved_the_step_is_that_of_reinforce() -> None:
    learner = _learner()
    other = ReinforceUpdate(_learner().policy, 0.01, 0.9)
    for each in (learner, other):
        each.update(_drawn(each), [0.5, 0.1, 0.9])
    for name, weight in learner.policy.parameters.items():
        assert torch.allclose(weight, other.policy.parameters[name], atol=1e-6), name


@pytest.mark.parametrize(("shift", "entropy"), [(0.0, 0.0), (0.3, 0.5), (-0.3, 0.5)])
def test_gradients_are_those_of_finite_differences(shift: float, entropy: float) -> None:
    learner = _learner(entropy=entropy)
    part = learner.replayed(Part(_drawn(learner, shift), [1.0, -0.5, 0.25], 3))

    def loss() -> torch.Tensor:
        log_probs, entropies = learner.policy.score(part.batch)
        return (learner.loss(log_probs, part.behaviour, part.advantages) - entropy * entropies.sum(1)).mean()

    gradients = learner.gradients(part)
    for name in ("softmax", "softmax_bias", "embedding", "lstm.0.input", "lstm.1.hidden_bias"):
        weight, gradient = learner.policy.parameters[name], gradients[name]
        i = int(gradient.abs().argmax())
        values = []
        for step in (1e-2, -1e-2):
            with torch.no_grad():
                weight.view(-1)[i] += step
                values.append(float(loss()))
                weight.view(-1)[i] -= step
        found = (values[0] - values[1]) / 2e-2
        assert math.isclose(found, float(gradient.view(-1)[i]), rel_tol=0.02, abs_tol=1e-4), name


def test_entropy_alone_flattens_the_policy() -> None:
    learner = _learner(rate=0.05, epochs=40, entropy=1.0)
    learner.update(_drawn(learner), [0.5, 0.5, 0.5])
    with torch.no_grad():
        entropy = learner.policy.evaluate(TOKENS)[1]
    assert torch.allclose(entropy, torch.tensor([[math.log(3), math.log(2)]]).expand(3, 2), atol=0.01)
    still = _learner(rate=0.05, epochs=40)
    before = still.policy.get_state()
    still.update(_drawn(still), [0.5, 0.5, 0.5])
    assert difference(still.policy.get_state(), before) is None


def test_many_steps_on_one_batch_stop_near_the_clip() -> None:
    def moved(clip: float) -> float:
        learner = _learner(rate=1e-3, epochs=100, clip=clip)
        drawn = _drawn(learner)
        learner.update(drawn, [1.0, 0.0, 0.2])
        with torch.no_grad():
            now = learner.policy.evaluate(TOKENS)[0]
        return float((now[0] - torch.from_numpy(drawn[0].log_probs)).exp().max())

    # Adam's momentum, and the other samples, carry it a little further.
    assert 1.2 < moved(0.2) < 1.35
    assert moved(0.999) > 1.5


def test_a_sample_that_has_become_likelier_already_is_pushed_no_further() -> None:
    """Its children were sampled by an older policy, under which its choices were less likely by half."""
    stale = _learner()
    before = stale.policy.get_state()
    drawn = _drawn(stale, math.log(0.5))
    stale.update(drawn[:1] * 2, [1.0, 1.0])  # the baseline starts at their mean: no advantage
    assert difference(stale.policy.get_state(), before) is None
    stale.update(drawn[:1], [3.0])
    assert difference(stale.policy.get_state(), before) is None
    stale.update(drawn[:1], [-3.0])  # worse than thought: it is taken back, with the weight of its ratio
    with torch.no_grad():
        now = stale.policy.evaluate(TOKENS[:1])[0]
    assert float(now.sum()) < float(drawn[0].log_probs.sum()) + 2 * math.log(2)


def test_batches_in_flight_keep_who_drew_them() -> None:
    space = Space({f"p{i}": Categorical((0, 1, 2, 3)) for i in range(4)})
    config = PpoConfig(batch=4, learning_rate=0.05)
    search = make_controller(config, space, [Objective(metric="x")], duplicates="evaluate")
    trials = search.ask(12)  # three batches, none of them complete
    assert len(trials) == 12
    first = {entry["trial"]["trial_id"]: entry["memo"]["log_probs"] for entry in search.state_dict()["pending"]}
    for trial in trials[:8]:
        search.tell(trial.trial_id, _outcome(trial.candidate["p0"] / 3))
    left = {entry["trial"]["trial_id"]: entry["memo"]["log_probs"] for entry in search.state_dict()["pending"]}
    assert set(left) == {trial.trial_id for trial in trials[8:]}
    assert all(np.array_equal(left[name], first[name]) for name in left)
    (later,) = search.ask(1)
    memo = search.state_dict()["pending"][-1]["memo"]
    assert later.trial_id == "t000012"
    assert abs(memo["log_probs"] - np.log(0.25)).max() > 0.1 > abs(left["t000009"] - np.log(0.25)).max()


def _outcome(value: float, source: str = "run") -> Outcome:
    return Outcome(Status.COMPLETED, {"x": value}, 1, source=source)  # type: ignore[arg-type]


def test_it_beats_its_control_at_equal_budget() -> None:
    space = Space({f"p{i}": Categorical((0, 1, 2, 3)) for i in range(8)})

    def best(config: PpoConfig | UniformConfig, seed: int) -> float:
        search = make_controller(config, space, [Objective(metric="x")], seed=seed)
        top, waiting = 0.0, search.ask(30)
        for _ in range(400):  # thirty in flight, told in ask order
            trial = waiting.pop(0)
            value = mean(trial.candidate[f"p{i}"] == i % 4 for i in range(8))
            top = max(top, value)
            search.tell(trial.trial_id, _outcome(value, "run" if trial.same_as is None else "cache"))
            waiting += search.ask(1)
        return top

    learned = [best(PpoConfig(learning_rate=0.01), seed) for seed in range(3)]
    drawn = [best(UniformConfig(), seed) for seed in range(3)]
    assert min(learned) > max(drawn)
