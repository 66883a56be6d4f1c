import pytest
import torch
from torch import nn

from search_spaces.recipe import Dropout, DropPath
from tests.trainers.examples import NETWORK
from trainers.determinism import Generators
from trainers.tricks.registry import implementation


def test_dropout_comes_before_the_last_linear_layer() -> None:
    network = nn.Sequential(nn.Linear(1, 400), nn.Linear(400, 1, bias=False))
    nn.init.ones_(network[0].weight)
    nn.init.constant_(network[1].weight, 1 / 400)
    nn.init.zeros_(network[0].bias)
    names = list(network.state_dict())
    implementation(Dropout(rate=0.25))(network)
    assert list(network.state_dict()) == names
    x = torch.ones(500, 1)
    with Generators(0):
        out = network.train()(x)
    # Each of 400 inputs is kept with probability 3/4 and scaled by 4/3: the mean stays, with a binomial's spread.
    assert out.mean().item() == pytest.approx(1.0, abs=0.01)
    assert out.std().item() == pytest.approx((1 / 3 / 400) ** 0.5, rel=0.1)
    assert torch.allclose(network.eval()(x), torch.ones(500, 1))


def test_dropout_needs_a_linear_layer() -> None:
    with pytest.raises(ValueError, match="linear layer; set dropout to null"):
        implementation(Dropout())(nn.Conv2d(1, 1, 1))


def test_drop_path_reaches_the_layers_of_a_network() -> None:
    network = NETWORK.build((1, 8, 8), 4)
    implementation(DropPath(rate=0.4))(network)
    rates = {module.rate for module in network.modules() if hasattr(module, "rate")}
    assert rates == {0.4}
