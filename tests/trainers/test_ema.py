import pytest
import torch
from torch import nn

from search_spaces.recipe import Ema
from trainers.ema import WeightAverage


def _network() -> nn.Module:
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.zeros_(network[0].weight)  # type: ignore[arg-type]
    return network


def test_the_average_follows_its_formula() -> None:
    network = _network()
    ema = WeightAverage(Ema(decay=0.5), network)
    expected = 0.0
    for t, value in enumerate([1.0, 2.0, 5.0, 3.0, 4.0, 2.0, 1.0, 6.0, 7.0, 8.0]):
        nn.init.constant_(network[0].weight, value)  # type: ignore[index]
        ema.update()
        decay = min(0.5, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * value
    assert ema.average["0.weight"].item() == pytest.approx(expected, rel=1e-6)
    assert decay == 0.5  # the last steps reached it


def test_the_network_holds_the_average_inside_with_alone() -> None:
    network = _network()
    ema = WeightAverage(Ema(decay=0.9), network)
    nn.init.constant_(network[0].weight, 10.0)  # type: ignore[index]
    ema.update()
    with pytest.raises(RuntimeError, match="inside"), ema.applied():
        assert network[0].weight.item() == pytest.approx(9.0)  # type: ignore[index, union-attr]
        raise RuntimeError("inside")
    assert network[0].weight.item() == 10.0  # type: ignore[index, union-attr]


def test_running_statistics_are_averaged_and_counters_are_not() -> None:
    ema = WeightAverage(Ema(), _network())
    assert set(ema.average) == {"0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var"}


def test_state_goes_on() -> None:
    network = _network()
    one, two = WeightAverage(Ema(), network), WeightAverage(Ema(), network)
    nn.init.constant_(network[0].weight, 1.0)  # type: ignore[index]
    one.update()
    two.load_state_dict(one.state_dict())
    nn.init.constant_(network[0].weight, 3.0)  # type: ignore[index]
    one.update()
    two.update()
    assert two.updates == 2
    assert torch.equal(one.average["0.weight"], two.average["0.weight"])
