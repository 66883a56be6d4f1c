"""What learns logits inside a trial: the better option wins, samples follow the logits, state goes on, collapse."""

import copy
import logging
from types import SimpleNamespace

import pytest
import torch

from controllers.gradient.controller import DartsConfig, GdasConfig
from controllers.gradient.updater import gumbel
from search_spaces.architectures.darts import PRIMITIVES, darts
from search_spaces.networks.supernet import Supernet

TEMPLATE = darts(layers=2, channels=2, nodes=1)
GOOD = PRIMITIVES.index("sep5")


class Toy(Supernet):
    """Each edge adds a constant an option, the best of which is that of `sep5`, times a weight that learns."""

    def __init__(self) -> None:
        super().__init__(TEMPLATE.layout())
        self.scale = torch.nn.Parameter(torch.tensor(0.0))
        self.worth = torch.linspace(0.0, 0.5, 8)
        self.worth[GOOD] = 1.0

    def forward(self, target):
        rows = torch.cat(list(self.mixture().values()))
        return ((self.scale.exp() * rows @ self.worth - target) ** 2).mean()


def _started(config):
    torch.manual_seed(0)
    network = Toy()
    updater = config.updater(TEMPLATE)
    updater.start(network, 7)
    return network, updater


def _train(network, updater, steps=60, start=0):
    optimizer = torch.optim.SGD(network.parameters(), 0.002, momentum=0.9)
    for step in range(start, start + steps):
        moment = SimpleNamespace(
            network=network,
            optimizer=optimizer,
            loss=lambda batch: (network(batch), {}),
            exact_loss=lambda batch: (network(batch), {}),
            batch=1.0,
            held_out=lambda: 1.0,
            progress=step / 120,
            learns=True,
            epoch_ends=False,
        )
        updater.before_step(moment)
        assert not any(logits.requires_grad for logits in network.logits.values())
        optimizer.zero_grad()
        network(1.0).backward()
        optimizer.step()


@pytest.mark.parametrize(
    "config",
    [DartsConfig(learning_rate=0.05), DartsConfig(learning_rate=0.05, order=2), GdasConfig(learning_rate=0.05)],
    ids=["first", "second", "gdas"],
)
def test_logits_move_towards_the_better_option(config):
    network, updater = _started(config)
    before = updater.figures()["arch/entropy"]
    _train(network, updater)
    assert all((logits.argmax(1) == GOOD).all() for logits in network.logits.values())
    found = updater.figures()
    assert found["arch/entropy"] < before and found["arch/loss"] < 0.5
    candidate = TEMPLATE.decode({name: rows.numpy() for name, rows in network.logits.items()})
    assert set(candidate.values()) == {"sep5"}
    assert updater.payload()["logits"]["normal"] == network.logits["normal"].double().tolist()


@pytest.mark.parametrize(
    "config", [DartsConfig(learning_rate=0.05), GdasConfig(learning_rate=0.05)], ids=["darts", "gdas"]
)
def test_its_state_goes_on_bit_for_bit(config):
    network, updater = _started(config)
    _train(network, updater, 5)
    state, kept = copy.deepcopy((updater.state_dict(), network.state_dict()))
    _train(network, updater, 5, start=5)
    again, other = _started(config)
    again.load_state_dict(kept)
    other.load_state_dict(state)
    _train(again, other, 5, start=5)
    if isinstance(config, GdasConfig):
        assert torch.equal(updater._generator.get_state(), other._generator.get_state())
    assert all(torch.equal(a, again.logits[name]) for name, a in network.logits.items())


def test_nothing_is_learned_before_it_is_time():
    network, updater = _started(DartsConfig(learning_rate=0.05))
    before = [logits.clone() for logits in network.logits.values()]
    updater.before_step(SimpleNamespace(learns=False, progress=0.0))
    assert all(torch.equal(a, b) for a, b in zip(before, network.logits.values(), strict=True))
    assert "arch/loss" not in updater.figures()


def test_a_gumbel_sample_is_one_option_drawn_by_its_weight():
    logits = torch.tensor([[0.0, 1.0, 2.0]]).expand(4000, 3).clone().requires_grad_(True)
    sample = gumbel(logits, 0.5, torch.Generator().manual_seed(0))
    assert set(sample.unique().tolist()) == {0.0, 1.0} and torch.equal(sample.sum(1), torch.ones(4000))
    assert torch.allclose(sample.mean(0), logits[0].softmax(0), atol=0.025)
    (gradient,) = torch.autograd.grad((sample * torch.tensor([0.0, 0.0, 1.0])).sum(), logits)
    assert gradient[:, 2].min() >= 0 and gradient.abs().sum() > 0


def test_the_temperature_falls_linearly():
    updater = GdasConfig().updater(TEMPLATE)
    assert [updater.temperature(at) for at in (0.0, 0.5, 1.0)] == pytest.approx([10.0, 5.05, 0.1])


def test_gdas_is_judged_by_what_edges_prefer():
    network, updater = _started(GdasConfig())
    with torch.no_grad():
        for logits in network.logits.values():
            logits[:, GOOD] = 1.0
    updater.before_evaluation(network)
    assert all((rows.argmax(1) == GOOD).all() and (rows.sum(1) == 1).all() for rows in network.mixture().values())


@pytest.mark.parametrize("stops", [False, True])
def test_a_collapse_is_told_once_and_may_end_the_trial(stops, caplog):
    network, updater = _started(DartsConfig(stop_when_collapsed=stops))
    assert updater.figures()["arch/collapsed"] == 0.0 and not updater.stopped
    with torch.no_grad():
        network.logits["normal"][0, PRIMITIVES.index("skip")] = 1.0
    with caplog.at_level(logging.WARNING):
        found = [updater.figures() for _ in range(2)]
    assert [figures["arch/skip_ratio"] for figures in found] == [0.5, 0.5]
    assert [figures["arch/collapsed"] for figures in found] == [1.0, 1.0]
    assert updater.stopped is stops
    assert [record.message for record in caplog.records] == [
        "arch/skip_ratio 0.50, skip_limit 0.50: so many operations of a cell are skips: the search has collapsed"
    ]


def test_a_sample_that_nothing_flows_through_teaches_nothing():
    network, updater = _started(GdasConfig(weight_decay=0.0))
    before = [logits.clone() for logits in network.logits.values()]
    moment = SimpleNamespace(network=network, learns=True, progress=0.0, held_out=lambda: 1.0)
    moment.loss = lambda batch: (torch.tensor(2.0), {})
    updater.before_step(moment)
    assert all(torch.equal(a, b) for a, b in zip(before, network.logits.values(), strict=True))
    assert updater.figures()["arch/loss"] == 2.0
