"""NASNet's network: training, export, drop path by schedule, deployment, and cells that are the same."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from search_spaces.architectures.nasnet import Nasnet, nasnet
from search_spaces.architectures.nasnet_cells import CellBlock, ConvCell
from search_spaces.build import set_drop_path, set_progress
from search_spaces.cost import cost
from search_spaces.deploy import deploy
from search_spaces.networks.layers import DropPath
from search_spaces.reference import reference
from search_spaces.space import Space
from tests.search_spaces.networks.checks import assert_exports, assert_trains, counted_macs

SPACE = Space(nasnet(repeats=1, filters=4))
CIFAR = reference("nasnet-a-cifar").architecture
SMALL = CIFAR.model_copy(update={"repeats": 1, "filters": 4})


def _sampled(seed: int, **fields) -> Nasnet:
    spec: Nasnet = SPACE.realize(SPACE.sample(np.random.default_rng(seed)))
    return spec.model_copy(update=fields)


@pytest.mark.parametrize(
    ("seed", "fields", "image"),
    [
        (0, {}, (1, 8, 8)),
        (1, {"aux": True}, (3, 17, 19)),
        (2, {"stem": "imagenet", "stem_multiplier": 0.25, "skip_reduction_input": True}, (3, 37, 45)),
    ],
    ids=["cifar", "aux", "imagenet"],
)
def test_networks_of_the_space_train_and_cost_what_torch_counts(seed, fields, image):
    spec = _sampled(seed, **fields)
    network = spec.build(image, 5)
    assert_trains(network, torch.randn(2, *image))
    found = cost(spec, image, 5)
    with torch.device("meta"):
        assert found.macs == counted_macs(spec.build(image, 5), *image)
    assert found.params == sum(p.numel() for name, p in network.named_parameters() if not name.startswith("aux."))
    maps = network.maps(torch.randn(2, *image))
    assert [(plan.name, plan.output.shape) for plan in spec.plan(image)] == [
        (name, tuple(x.shape[1:])) for name, x in list(maps.items())[1:]
    ]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_can_be_exported():
    assert_exports(SMALL.build((3, 16, 16), 5), torch.randn(2, 3, 16, 16))


def test_the_auxiliary_classifier_is_there_in_training_alone_and_takes_other_sizes():
    network = SMALL.build((3, 32, 32), 5)
    assert isinstance(network.eval()(torch.randn(2, 3, 32, 32)), Tensor)
    network.train()
    for size in (32, 25, 40):
        found = network(torch.randn(2, 3, size, size))
        assert {name: value.shape for name, value in found.items()} == {"out": (2, 5), "aux": (2, 5)}


def _places(network: nn.Module) -> list[DropPath]:
    return [module for module in network.modules() if isinstance(module, DropPath)]


def _kept(network: nn.Module, rate: float, progress: float) -> list[float]:
    """The share of examples that each place keeps, measured."""
    set_drop_path(network, rate)
    set_progress(network, progress)
    return [(place(torch.ones(4000, 1, 1, 1)) != 0).float().mean().item() for place in _places(network)]


def test_paths_are_dropped_by_the_papers_schedule():
    p = 0.6
    network = SMALL.build((3, 16, 16), 5).train()
    depths = [place.depth for place in _places(network)]
    # 8 of 10 operations are not the identity in a normal cell, 9 in a reduction cell.
    assert depths == [1 / 5] * 8 + [2 / 5] * 9 + [3 / 5] * 8 + [4 / 5] * 9 + [1.0] * 8
    assert _kept(network, 1 - p, 0.0) == [1.0] * len(depths)
    for progress in (0.5, 1.0):
        expected = [1 - progress * depth * (1 - p) for depth in depths]
        assert expected == sorted(expected, reverse=True)
        assert _kept(network, 1 - p, progress) == pytest.approx(expected, abs=0.04)
    assert 1 - network.cell_2.blocks[0].left[-1].depth * (1 - p) == pytest.approx(p)  # last cell, last step
    x = torch.ones(4000, 2, 3, 3)
    values = _places(network)[-1](x)
    assert torch.equal(values, values[:, :1, :1, :1].expand_as(values))  # an example is dropped as a whole
    assert values.unique().tolist() == pytest.approx([0.0, 1 / p])
    assert values.mean().item() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(_places(network.eval())[-1](x), x)


def test_the_stem_cells_of_imagenet_count_in_the_schedule():
    network = CIFAR.model_copy(update={"repeats": 1, "filters": 8, "stem": "imagenet", "aux": False}).build(
        (3, 64, 64), 5
    )
    assert network.stem_0.blocks[0].left[-1].depth == 1 / 7
    assert network.cell_0.blocks[0].left[-1].depth == 3 / 7


def test_a_deployed_network_gives_the_same_without_norms():
    x = torch.randn(4, 3, 16, 16)
    network = _sampled(0).build((3, 16, 16), 5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    with torch.no_grad():
        network.train()(x)
        network.eval()
        small = deploy(network)
        assert (small(x) - network(x)).abs().max() < 1e-4 * network(x).abs().max()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in small.modules())


def _symmetric(spec: Nasnet, x: Tensor) -> Tensor:
    """The output of the network whose channels are all alike, so that their order is not seen."""
    network = spec.build(tuple(x.shape[1:]), 3).eval()
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() == 4:  # taps that differ, as large in sum whatever the number of channels
                taps = torch.arange(1.0, weight[0, 0].numel() + 1).cos().add(1.2).view(weight.shape[2:])
                weight.copy_((taps / taps.sum() / weight.shape[1]).expand_as(weight))
            elif weight.dim() == 2:
                weight.fill_(1 / weight.shape[1])
            else:
                weight.fill_(0.9)
        return network(x)


def test_equal_cells_are_one_network_but_for_the_order_of_channels():
    x, rng = torch.rand(1, 3, 8, 8), np.random.default_rng(5)
    outputs = []
    for _ in range(4):
        candidate = SPACE.sample(rng)
        form = SPACE.canonical(candidate)
        assert form != candidate
        mine, other = (_symmetric(SPACE.realize(found), x) for found in (candidate, form))
        assert torch.allclose(mine, other, rtol=1e-4)
        outputs.append(mine[0, 0].item())
    assert len({round(value, 4) for value in outputs}) == 4


def test_a_sum_and_a_concatenation_of_what_two_operations_make():
    def made(combine: str) -> nn.Module:
        block = CellBlock(left=0, right=1, left_op="conv_1x1", right_op="max_pool_3x3", combine=combine)
        cell = ConvCell(blocks=(block, CellBlock(left=2, right=2, right_op="avg_pool_3x3")))
        return Nasnet(normal=cell, reduction=cell, repeats=1, filters=6).build((3, 8, 8), 5).eval()

    for combine, channels in (("add", 12), ("concat", 24)):
        network = made(combine)
        block = network.cell_1.blocks[0]  # of the second stage, which has twice the filters
        states = [torch.randn(2, 12, 8, 8) for _ in range(2)]
        left, right = block.left(states[0]), block.right(states[1])
        expected = left + right if combine == "add" else torch.cat([left, right], dim=1)
        assert torch.equal(block(states), expected) and expected.shape[1] == channels
        assert network.cell_1(torch.randn(2, 12, 4, 4), torch.randn(2, 6, 8, 8)).shape == (2, 12, 4, 4)
