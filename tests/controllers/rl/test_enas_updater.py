"""What learns inside a trial of ENAS: turns, rewards, skips, the best path, and a cut anywhere."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from controllers.rl.batch import Batch
from controllers.rl.enas import EnasConfig
from controllers.rl.enas_updater import EnasUpdater
from search_spaces.architectures.enas_macro import OPERATIONS, EnasMacro, enas_macro

NET = enas_macro(3, channels=4)
QUICK = {"steps": 3, "samples": 5, "hidden": 16}


class Landscape:
    """Stands for a trained network: its accuracy is the share of layers that are 5x5 convolutions."""

    def __init__(self) -> None:
        self.chosen: list[EnasMacro] = []

    def choose(self, spec: EnasMacro) -> None:
        self.chosen.append(spec)

    def accuracy(self) -> float:
        return float(np.mean([layer.operation == "conv_5x5" for layer in self.chosen[-1].layers]))


def _moment(network: Landscape, ends: bool = True, learns: bool = True) -> Any:
    def loss(batch: Any) -> Any:
        assert not torch.is_grad_enabled()
        return torch.zeros(()), {"accuracy": torch.tensor(network.accuracy())}

    return SimpleNamespace(learns=learns, epoch_ends=ends, loss=loss, held_out=lambda: None)


def _started(seed: int = 0, **config: Any) -> tuple[EnasUpdater, Landscape]:
    updater, network = EnasUpdater(EnasConfig(**{**QUICK, **config}), NET), Landscape()
    updater.start(network, seed)
    return updater, network


def test_the_policy_learns_at_the_end_of_an_epoch_alone():
    updater, network = _started(derived=4)
    before = {name: weight.clone() for name, weight in updater.policy.parameters.items()}
    updater.before_step(_moment(network, ends=False))
    assert len(network.chosen) == 1 and updater.figures() == {}
    assert all(torch.equal(before[name], weight) for name, weight in updater.policy.parameters.items())
    updater.before_step(_moment(network))
    assert len(network.chosen) == 1 + 3 * 5 + 4 + 1
    assert not torch.equal(before["softmax"], updater.policy.parameters["softmax"])
    assert set(updater.figures()) == {"arch/reward", "arch/entropy"} and updater.figures() == {}


def test_it_does_not_learn_before_it_is_time():
    updater, network = _started(derived=4)
    updater.before_step(_moment(network, learns=False))
    assert len(network.chosen) == 4 + 1  # the best path is looked for all the same


def test_the_policy_finds_what_is_rewarded():
    updater, network = _started(steps=40, learning_rate=0.01, skip_weight=0.0, tanh=None)
    updater.before_step(_moment(network))
    first = updater.figures()["arch/reward"]
    for _ in range(4):
        updater.before_step(_moment(network))
    assert first < 0.8 < 0.9 < updater.figures()["arch/reward"]
    updater.before_evaluation(network)
    assert network.accuracy() == 1.0
    values = updater.payload()["candidate"]
    assert [values[f"layers/{i}/operation"] for i in range(3)] == ["conv_5x5"] * 3


def test_skips_are_drawn_towards_their_target():
    rates = []
    for target in (0.1, 0.9):
        updater, network = _started(steps=60, learning_rate=0.02, skip_weight=5.0, skip_target=target, tanh=2.5)
        updater.before_step(_moment(network))
        tokens = [updater.policy.sample(torch.Generator().manual_seed(i)).tokens for i in range(50)]
        chances, layers = updater.policy.chances(Batch(updater.policy.script, tokens))
        assert layers == 50 * 2 and len(chances) == 50 * 3  # the first layer has no skips, the others one and two
        rates.append(float(chances.mean()))
    assert rates[0] < 0.25 and rates[1] > 0.75


def test_the_divergence_is_zero_at_the_target():
    updater, _ = _started(skip_target=0.5, init_range=1e-6)
    batch = Batch(updater.policy.script, [updater.policy.sample(torch.Generator()).tokens])
    assert float(updater._divergence(batch)) == pytest.approx(0.0, abs=1e-6)
    other, _ = _started(skip_target=0.25, init_range=1e-6)
    expected = 3 * 0.5 * (np.log(0.5 / 0.25) + np.log(0.5 / 0.75)) / 2  # three items that may be skipped to, two layers
    assert float(other._divergence(batch)) == pytest.approx(expected, rel=1e-4)


def test_logits_are_bounded():
    updater, _ = _started(tanh=0.5, op_tanh_reduce=1.0, init_range=5.0)
    batch = Batch(updater.policy.script, [updater.policy.sample(torch.Generator().manual_seed(0)).tokens])
    log_probs, _ = updater.policy.score(batch)
    low = -np.log(1 + (len(OPERATIONS) - 1) * np.exp(1.0))  # one option at -0.5, all others at 0.5
    assert (log_probs[0, ::2] >= low - 1e-5).all()
    reduced, _ = _started(tanh=1.0, op_tanh_reduce=2.0, init_range=5.0)
    both, one = reduced.policy.score(batch)[0], updater.policy.score(batch)[0]
    assert torch.equal(both[0, ::2], one[0, ::2]) and not torch.allclose(both[0, 1::2], one[0, 1::2])
    tokens = reduced.policy.sample(torch.Generator().manual_seed(3))
    again = reduced.policy.score(Batch(reduced.policy.script, [tokens.tokens]))[0][0].detach()
    assert np.allclose(again, tokens.log_probs, atol=1e-5)
    plain, _ = _started(tanh=None, init_range=5.0)
    wild, _ = plain.policy.score(batch)
    assert (wild[0, ::2] < low).any()


def test_a_cut_goes_on_bit_for_bit():
    whole, network = _started()
    for _ in range(2):
        whole.before_step(_moment(network))
    other, copy = _started(seed=9)
    other.load_state_dict(whole.state_dict())
    assert other.payload() == whole.payload()
    for each, seen in ((whole, network), (other, copy)):
        seen.chosen.clear()
        each.before_step(_moment(seen))
        each.before_step(_moment(seen, ends=False))
    assert [spec.to_json() for spec in network.chosen] == [spec.to_json() for spec in copy.chosen]
    assert whole.figures() == other.figures()
    assert all(torch.equal(w, other.policy.parameters[name]) for name, w in whole.policy.parameters.items())


def test_a_space_without_a_choice():
    layers = [{"operation": "conv_3x3"}] * 3
    updater = EnasUpdater(EnasConfig(**QUICK), EnasMacro.from_data({"layers": layers}))
    network = Landscape()
    updater.start(network, 0)
    updater.before_step(_moment(network))
    assert updater.payload() == {"candidate": {}}
