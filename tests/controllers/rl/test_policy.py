"""The policy's probabilities: they sum to one, agree with a slow formula, and follow the samples."""

import math
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from controllers.rl.policy import Policy, one_thread
from controllers.state import decode, difference, encode, make_torch_generator
from search_spaces.architectures.chain import chain
from search_spaces.domains import Categorical, Composition, First, Float, Subset
from search_spaces.space import Space
from search_spaces.views import to_tokens


def _item(**more: Any) -> dict[str, Any]:
    return {"width": Categorical((1, 2)), "inputs": Subset(of="items"), **more}


SMALL = Space(
    {
        "items": First((_item(), _item(), _item(inputs=Subset(of="items", low=1, high=1))), low=2),
        "mix": Categorical(
            {"off": {}, "on": {"parts": Composition(3, 2), "some": Subset(("a", "b", "c"), low=1, high=2)}}
        ),
    }
)


def _policy(space: Space, seed: int = 0, **options: Any) -> Policy:
    return Policy(space, make_torch_generator(seed, "init"), **options)


def _log_p(policy: Policy, tokens: list[tuple[int, ...]]) -> list[float]:
    with torch.no_grad():
        return policy.evaluate(tokens)[0].sum(1).tolist()


def test_weights_start_uniform_within_the_range_and_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    policy = _policy(SMALL)
    policy.sample(make_torch_generator(0, "draw"))
    assert torch.equal(torch.get_rng_state(), before)
    weights = torch.cat([weight.detach().flatten() for weight in policy.parameters.values()])
    assert 0.079 < weights.abs().max() <= 0.08
    assert abs(weights.std() - 0.16 / math.sqrt(12)) < 0.001
    assert policy.parameters["lstm.1.hidden"].shape == (140, 35)
    lstm = sum(weight.numel() for name, weight in policy.parameters.items() if name.startswith("lstm"))
    assert lstm == 2 * (2 * 140 * 35 + 2 * 140)


def test_the_probabilities_of_all_candidates_sum_to_one() -> None:
    policy = _policy(SMALL, init_range=1.5)
    tokens = [to_tokens(SMALL, candidate) for candidate in SMALL.enumerate()]
    assert len(tokens) == SMALL.cardinality()
    assert math.isclose(sum(map(math.exp, _log_p(policy, tokens))), 1.0, abs_tol=1e-5)


@pytest.mark.parametrize("depths", [(2, 2), (0, 2)])
def test_under_a_mask_the_probabilities_of_what_is_left_sum_to_one(depths: tuple[int, int]) -> None:
    policy = _policy(SMALL, init_range=1.5)
    tokens = [to_tokens(SMALL, c) for c in SMALL.enumerate() if c["items"] == 2]
    with torch.no_grad():
        log_p, _ = policy.evaluate(tokens, [depths] * len(tokens))
    assert math.isclose(float(log_p.sum(1).exp().sum()), 1.0, abs_tol=1e-5)


def test_samples_come_as_often_as_their_probability_says() -> None:
    space = Space({"items": (_item(), _item())})
    policy, generator = _policy(space, init_range=2.0), make_torch_generator(1, "draw")
    counts = Counter(policy.sample(generator).candidate for _ in range(3000))
    for candidate in space.enumerate():
        p = math.exp(_log_p(policy, [to_tokens(space, candidate)])[0])
        assert abs(counts[candidate] / 3000 - p) < 4 * math.sqrt(p * (1 - p) / 3000) + 1e-3


def test_a_sample_knows_its_own_probabilities() -> None:
    space = Space({"lr": Float(0.1, 1.0), "items": First((_item(), _item(), _item(), _item()), low=1)})
    policy, generator = _policy(space, bins=4, init_range=1.0), make_torch_generator(1, "draw")
    samples = [policy.sample(generator, (3, 4)) for _ in range(20)]
    with torch.no_grad():
        log_p, _ = policy.evaluate([s.tokens for s in samples], [(3, 4)] * 20)
    for sample, row in zip(samples, log_p.numpy(), strict=True):
        steps = len(sample.log_probs)
        assert np.allclose(row[:steps], sample.log_probs, atol=1e-5)
        assert not row[steps:].any()
        assert sample.tokens == to_tokens(space, sample.candidate, 4)
        assert space.contains(sample.candidate)
        assert sample.candidate["items"] in (3, 4)
    assert {s.candidate["items"] for s in samples} == {3, 4}


def test_an_anchor_is_the_papers_formula() -> None:
    space = Space({"items": tuple({"inputs": Subset(of="items")} for _ in range(3))})
    policy = _policy(space, init_range=1.0, layers=1, hidden=3)
    p = {name: weight.detach() for name, weight in policy.parameters.items()}
    cell = torch.nn.utils.skip_init(torch.nn.LSTMCell, 3, 3)
    names = {"weight_ih": "input", "weight_hh": "hidden", "bias_ih": "input_bias", "bias_hh": "hidden_bias"}
    cell.load_state_dict({theirs: p[f"lstm.0.{ours}"] for theirs, ours in names.items()})
    base, rows = p["embedding"][0], p["embedding"][1:]
    expected = 0.0
    with torch.no_grad():
        state = cell(p["embedding"][-1:])
        h0 = state[0]
        state = cell(base[None], state)
        h1 = state[0]
        state = cell((base + rows[0])[None], state)  # item 1 chose item 0
        h2 = state[0]
        for previous, current, bit in ((h0, h1, 1), (h0, h2, 0), (h1, h2, 1)):
            hidden = torch.tanh(p["anchor.previous"] @ previous[0] + p["anchor.current"] @ current[0])
            q = 1 / (1 + math.exp(-float(p["anchor.v"] @ hidden)))
            expected += math.log(q if bit else 1 - q)
    assert math.isclose(_log_p(policy, [(1, 0, 1)])[0], expected, abs_tol=1e-5)


def test_one_of_the_earlier_items_is_a_softmax_over_them() -> None:
    items = ({"width": Categorical((1, 2))}, {"width": Categorical((1, 2))}, {"from": Categorical((), of="items")})
    space = Space({"items": items})
    policy, generator = _policy(space, init_range=2.0), make_torch_generator(0, "draw")
    tokens = [to_tokens(space, candidate) for candidate in space.enumerate()]
    assert len(tokens) == 8
    assert math.isclose(sum(map(math.exp, _log_p(policy, tokens))), 1.0, abs_tol=1e-5)
    sample = policy.sample(generator)
    assert math.isclose(sum(sample.log_probs), _log_p(policy, [sample.tokens])[0], abs_tol=1e-5)


def test_entropy_is_that_of_each_step() -> None:
    space = Space({"a": Categorical((1, 2, 3)), "items": (_item(), _item())})
    policy = _policy(space, init_range=2.0)
    tokens = [to_tokens(space, candidate) for candidate in space.enumerate()]
    with torch.no_grad():
        log_p, entropy = policy.evaluate(tokens)
    total = float(log_p.sum(1).exp() @ entropy.sum(1))
    assert math.isclose(total, -float(log_p.sum(1).exp() @ log_p.sum(1)), abs_tol=1e-4)


def test_gradients_are_those_of_finite_differences() -> None:
    space = Space({"items": (_item(), _item(), _item()), "a": Composition(3, 2)})
    policy = _policy(space, init_range=0.5, hidden=4)
    for name, weight in policy.parameters.items():
        policy.parameters[name] = weight.detach().clone().requires_grad_()
    sample = policy.sample(make_torch_generator(0, "draw"))
    total = policy.evaluate([sample.tokens])[0].sum()
    total.backward()  # type: ignore[no-untyped-call]
    for weight in policy.parameters.values():
        assert weight.grad is not None
        i = int(weight.grad.abs().argmax())
        shifted = []
        for step in (1e-2, -1e-2):
            with torch.no_grad():
                weight.view(-1)[i] += step
                shifted.append(float(policy.evaluate([sample.tokens])[0].sum()))
                weight.view(-1)[i] -= step
        assert math.isclose(
            (shifted[0] - shifted[1]) / 2e-2, float(weight.grad.view(-1)[i]), rel_tol=0.02, abs_tol=2e-4
        )


def test_a_space_without_choice_is_sampled_and_scored() -> None:
    space = Space({"a": Categorical((1,)), "b": 2})
    policy = _policy(space)
    sample = policy.sample(make_torch_generator(0, "draw"))
    assert (dict(sample.candidate), sample.tokens, sample.log_probs) == ({"a": 1}, (0,), ())
    assert policy.evaluate([sample.tokens] * 3)[0].shape == (3, 0)


def test_weights_survive_their_state() -> None:
    policy, other = _policy(SMALL, 0), _policy(SMALL, 1)
    state = decode(*encode(policy.get_state()))
    assert difference(other.get_state(), state) is not None
    other.set_state(state)
    assert difference(other.get_state(), state) is None
    draws = [p.sample(make_torch_generator(5, "draw")) for p in (policy, other)]
    assert draws[0] == draws[1]


def test_one_thread_is_put_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), one_thread():
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == before


def test_fifty_tokens_are_sampled_within_20_ms_of_cpu_time() -> None:
    space = Space({"items": tuple({f"f{k}": Categorical((1, 2, 3, 4)) for k in range(5)} for _ in range(10))})
    policy, generator = _policy(space), make_torch_generator(0, "draw")
    seconds = []
    for _ in range(15):
        start = time.process_time()
        with one_thread():
            sample = policy.sample(generator)
        seconds.append(time.process_time() - start)
    assert len(sample.tokens) == 50
    assert sorted(seconds)[7] < 0.02


def test_listing_controllers_does_not_import_torch() -> None:
    code = (
        "import sys; from controllers.base import ControllerConfig; from search_spaces.spec import kinds;"
        "print(len(kinds(ControllerConfig)) > 9, 'torch' in sys.modules, 'scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]


def test_steps_that_leave_nothing_to_choose_are_scored_as_certain() -> None:
    space = Space(chain(layers=1, kernels=(3,), filters=(36,)))
    policy = _policy(space)
    sample = policy.sample(make_torch_generator(0, "draw"))
    log_p, entropy = policy.evaluate([sample.tokens] * 3)
    assert log_p.shape == entropy.shape == (3, 1)
    assert not log_p.any() and not entropy.any()
