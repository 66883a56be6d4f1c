"""Deployed networks give what the trained ones gave, with fewer parts."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack

from search_spaces.architectures.chain import Chain
from search_spaces.architectures.detector import Detector
from search_spaces.architectures.resnet import Resnet
from search_spaces.architectures.segmenter import Segmenter
from search_spaces.blocks.convolution import Convolution
from search_spaces.build import Architecture
from search_spaces.cost import cost, network_cost, trained_and_deployed
from search_spaces.deploy import deploy
from search_spaces.meta import ShapesOnly
from search_spaces.spec import kinds

IMAGES = (3, 32, 32)


@pytest.fixture(autouse=True)
def _seeded() -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _trained(network: nn.Module, x: Tensor) -> nn.Module:
    """The network in eval mode, with norms that are far from the identity."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    with torch.no_grad():
        for _ in range(2):
            network.train()(x)
    return network.eval()


def _norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def _apart(one: Any, other: Any) -> float:
    """The greatest difference between two outputs, over the greatest number in them."""
    if isinstance(one, Tensor):
        return float((one - other).abs().max() / one.abs().max())
    return max(_apart(a, b) for a, b in zip(one, other, strict=True))


def _chain(*kinds: Any, **fields: Any) -> Chain:
    layers = [{"filters": 8, "conv": kind, "inputs": [i - 1] if i else [], **fields} for i, kind in enumerate(kinds)]
    return Chain.from_data({"kind": "chain", "layers": layers})


SMALL = Resnet(depths=(1, 1, 1), widths=(8, 12, 16), stem="strided")
NETWORKS = {
    "chain": _chain("dense", "asymmetric", "separable"),
    "resnet": SMALL,
    "bottleneck": Resnet(depths=(1, 2), widths=(4, 8), block="bottleneck", stem="imagenet"),
    "segmenter": Segmenter(backbone=SMALL),
    "detector": Detector(backbone=SMALL),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_stay_and_parts_go(name: str) -> None:
    architecture: Architecture = NETWORKS[name]
    x = torch.randn(2, *IMAGES)
    network = _trained(architecture.build(IMAGES, 5), x)
    state = copy.deepcopy(network.state_dict())
    small = architecture.deploy(network)
    with torch.no_grad():
        expected, found = network(x), small(x)
        assert _apart(expected, found) < 1e-5
        again = deploy(small)
        assert _apart(found, again(x)) == 0
    assert _norms(network) > 0 and _norms(small) == _norms(again) == 0
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert list(again.state_dict()) == list(small.state_dict())
    assert not small.training


@pytest.mark.parametrize("kind", sorted(kinds(Convolution)))
def test_a_norm_behind_any_convolution_changes_nothing(kind: str) -> None:
    x = torch.randn(2, 3, 8, 8)
    network = _trained(_chain("dense", kind).build((3, 8, 8), 5), x)
    with torch.no_grad():
        assert _apart(network(x), deploy(network)(x)) < 1e-5


def test_both_costs_of_asymmetric_convolutions() -> None:
    spec = _chain("asymmetric", "asymmetric")
    found, params, macs = trained_and_deployed(spec, IMAGES, 5)
    assert found == cost(spec, IMAGES, 5)
    # Three norms in each block and one behind it; 9 + 3 + 3 taps.
    assert found.params == 15 * 3 * 8 + 15 * 8 * 8 + 2 * 4 * 16 + 8 * 5 + 5
    assert params == 9 * 3 * 8 + 8 + 9 * 8 * 8 + 8 + 8 * 5 + 5
    assert found.macs == 1024 * (15 * 3 * 8 + 15 * 8 * 8) + 40
    assert macs == 1024 * (9 * 3 * 8 + 9 * 8 * 8) + 40
    small = spec.deploy(spec.build(IMAGES, 5))
    assert (network_cost(small, IMAGES).params, network_cost(small, IMAGES).macs) == (params, macs)


def test_both_costs_are_counted_on_shapes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    built, entered = Chain._build, []

    def build(spec: Chain, *place: Any) -> nn.Module:
        entered.append(type(_get_current_function_mode_stack()[-1]))
        return built(spec, *place)

    monkeypatch.setattr(Chain, "_build", build)
    spec = _chain("asymmetric")
    cost(spec, IMAGES, 5)
    trained_and_deployed(spec, IMAGES, 5)
    assert entered == [ShapesOnly, ShapesOnly]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_cost_deployed_is_that_of_the_deployed_network(name: str) -> None:
    _, params, macs = trained_and_deployed(NETWORKS[name], IMAGES, 5)
    small = NETWORKS[name].deploy(NETWORKS[name].build(IMAGES, 5))
    found = network_cost(small, IMAGES)
    assert (found.params, found.macs) == (params, macs)


def test_a_block_of_its_own_becomes_a_convolution() -> None:
    from search_spaces.blocks.convolution import ConvPlan
    from search_spaces.blocks.convolution_factored import Asymmetric

    block = Asymmetric().build(ConvPlan(4, 6))
    small = deploy(block)
    assert type(small) is nn.Conv2d and deploy(small) is not small
    assert hasattr(block, "square")


class _Squares(nn.Conv2d):
    """Uses its weights otherwise than a convolution."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self._conv_forward(x, self.weight**2, None)
        return out


class _Shared(nn.Module):
    """One convolution, two norms; and one block in two places."""

    def __init__(self) -> None:
        super().__init__()
        conv = nn.Conv2d(3, 3, 1)
        self.first = nn.Sequential(conv, nn.BatchNorm2d(3))
        self.second = nn.Sequential(conv, nn.BatchNorm2d(3))
        self.own = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.own(self.second(self.first(x)))
        return out


def test_what_has_two_norms_keeps_them() -> None:
    x = torch.randn(2, 3, 4, 4)
    network = _trained(_Shared(), x)
    small = deploy(network)
    assert _norms(small) == 2
    with torch.no_grad():
        assert _apart(network(x), small(x)) < 1e-5


@pytest.mark.parametrize(
    "parts",
    [
        (nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)),
        (nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)),
        (nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)),
        (nn.ConvTranspose2d(3, 3, 1), nn.BatchNorm2d(3)),
        (_Squares(3, 3, 1), nn.BatchNorm2d(3)),
    ],
    ids=["ahead", "behind-a-relu", "without-figures", "transposed", "of-another-kind"],
)
def test_norms_that_stand_elsewhere_stay(parts: tuple[nn.Module, ...]) -> None:
    x = torch.randn(2, 3, 4, 4)
    network = _trained(nn.Sequential(*parts), x)
    small = deploy(network)
    assert _norms(small) == 1
    assert torch.equal(network(x), small(x))


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_every_form_of_a_pair_is_folded(affine: bool, bias: bool) -> None:
    x = torch.randn(4, 4, 5, 5)
    network = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2, bias=bias), nn.BatchNorm2d(6, affine=affine)).train()
    network(x * 3 + 1)
    small = deploy(network.eval())
    with torch.no_grad():
        assert _norms(small) == 0 and _apart(network(x), small(x)) < 1e-5
