"""Operations of NASNet's cells: order of layers, shapes, weights, drop path, and the reduction by hand."""

import pytest
import torch
from torch import nn

from search_spaces.architectures.nasnet_cells import OPERATIONS
from search_spaces.blocks.convolution import ConvPlan
from search_spaces.deploy import deploy
from search_spaces.networks.convolution import BatchNorm
from search_spaces.networks.layers import DropPath
from search_spaces.networks.nasnet_operations import FactorizedReduction, matching, operation, relu_conv_norm

NORM = 2
# Weights of each operation from 6 channels to 4, counted by hand: taps x channels, and two numbers a norm and channel.
WEIGHTS = {
    "identity": 6 * 4 + NORM * 4,
    "conv_1x3_3x1": 3 * 6 * 4 + 3 * 4 * 4 + 2 * NORM * 4,
    "conv_1x7_7x1": 7 * 6 * 4 + 7 * 4 * 4 + 2 * NORM * 4,
    "conv_3x3_dilated": 9 * 6 * 4 + NORM * 4,
    "avg_pool_3x3": 6 * 4 + NORM * 4,
    "max_pool_3x3": 6 * 4 + NORM * 4,
    "max_pool_5x5": 6 * 4 + NORM * 4,
    "max_pool_7x7": 6 * 4 + NORM * 4,
    "conv_1x1": 6 * 4 + NORM * 4,
    "conv_3x3": 9 * 6 * 4 + NORM * 4,
    "sep_conv_3x3": (9 * 6 + 6 * 4 + NORM * 4) + (9 * 4 + 4 * 4 + NORM * 4),
    "sep_conv_5x5": (25 * 6 + 6 * 4 + NORM * 4) + (25 * 4 + 4 * 4 + NORM * 4),
    "sep_conv_7x7": (49 * 6 + 6 * 4 + NORM * 4) + (49 * 4 + 4 * 4 + NORM * 4),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_shapes_and_weights_of_each_operation(name):
    for stride, size in ((1, (7, 10)), (2, (4, 5))):
        made = operation(name, 6, 4, stride, 0.5)
        assert made(torch.randn(2, 6, 7, 10)).shape == (2, 4, *size)
        assert sum(p.numel() for p in made.parameters()) == WEIGHTS[name]
    kept = operation(name, 4, 4, 1, 0.5)
    assert kept(torch.randn(2, 4, 7, 10)).shape == (2, 4, 7, 10)
    if name == "identity" or "pool" in name:
        assert list(kept.parameters()) == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_drop_path_stands_behind_every_operation_but_the_identity(name):
    for stride in (1, 2):
        places = [m for m in operation(name, 6, 4, stride, 0.5).modules() if isinstance(m, DropPath)]
        assert [place.depth for place in places] == ([] if name == "identity" else [0.5])


@pytest.mark.parametrize("name", [name for name in OPERATIONS if "pool" not in name])
def test_a_relu_comes_first_and_a_norm_last(name):
    made = operation(name, 6, 4, 2, 0.5)
    parts = [m for m in made.modules() if next(m.children(), None) is None and not isinstance(m, DropPath)]
    assert isinstance(parts[0], nn.ReLU) and isinstance(parts[-1], nn.BatchNorm2d)
    assert sum(isinstance(part, nn.ReLU) for part in parts) == sum(isinstance(part, nn.BatchNorm2d) for part in parts)
    x = -torch.rand(2, 6, 4, 4)
    before = x.clone()
    assert made(x).abs().max() < 1e-6  # nothing gets through a ReLU, and the norm of nothing is nothing
    assert torch.equal(x, before)  # other operations read the same state


def test_poolings_leave_the_padding_out():
    x = torch.full((1, 4, 5, 5), -3.0)
    for name in OPERATIONS:
        if "pool" in name:
            for stride in (1, 2):
                assert (operation(name, 4, 4, stride, 1.0)(x) == -3).all()


def test_a_separable_convolution_is_that_of_each_channel_and_a_product():
    block = relu_conv_norm(ConvPlan(3, 4, (3, 3), (2, 2)), separable=True).eval()
    x = torch.randn(1, 3, 5, 5)
    rows = torch.cat(
        [nn.functional.conv2d(x.relu()[:, i : i + 1], block[1].weight[i : i + 1], None, 2, 1) for i in range(3)], 1
    )
    expected = torch.einsum("oc,nchw->nohw", block[2].weight[:, :, 0, 0], rows)
    assert torch.allclose(block(x), expected / (1 + 1e-5) ** 0.5, atol=1e-6)


def test_depthwise_weights_begin_as_large_as_their_single_channel_asks():
    deviation = relu_conv_norm(ConvPlan(512, 8, (5, 5)), separable=True)[1].weight.std().item()
    assert deviation == pytest.approx((2 / 25) ** 0.5, rel=0.05)


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (1, 2)], ids=str)
def test_the_factorized_reduction_by_hand(size):
    reduction = FactorizedReduction(3, 5).eval()
    x = torch.randn(2, 3, *size)
    moved = torch.zeros_like(x)
    moved[:, :, : size[0] - 1, : size[1] - 1] = x[:, :, 1:, 1:]
    a = torch.einsum("oc,nchw->nohw", reduction.first.weight[:, :, 0, 0], x[:, :, ::2, ::2])
    b = torch.einsum("oc,nchw->nohw", reduction.second.weight[:, :, 0, 0], moved[:, :, ::2, ::2])
    found = reduction(x)
    assert found.shape == (2, 5, (size[0] + 1) // 2, (size[1] + 1) // 2) and a.shape[1] == 2
    assert torch.allclose(found, torch.cat([a, b], 1) / (1 + 1e-5) ** 0.5, atol=1e-6)


def test_a_deployed_reduction_has_no_norm():
    reduction = FactorizedReduction(3, 5)
    nn.init.uniform_(reduction.norm.weight, 0.5, 1.5)
    nn.init.normal_(reduction.norm.bias)
    x = torch.randn(8, 3, 6, 6)
    reduction(x * 2 + 1)
    reduction.eval()
    small = deploy(reduction)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in small.modules())
    assert torch.allclose(small(x), reduction(x), atol=1e-5)
    assert torch.equal(deploy(small)(x), small(x))
    free = FactorizedReduction(3, 4)
    free.norm = nn.BatchNorm2d(4, track_running_stats=False)
    assert isinstance(deploy(free).norm, nn.BatchNorm2d)


def test_a_state_is_matched_only_where_it_differs():
    assert isinstance(matching(4, 4, halves=False), nn.Identity)
    assert [type(part) for part in matching(8, 4, halves=False)] == [nn.Conv2d, BatchNorm]
    assert isinstance(matching(4, 4, halves=True), FactorizedReduction)
