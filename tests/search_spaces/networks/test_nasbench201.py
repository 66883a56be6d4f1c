"""The network of NAS-Bench-201 against the sum over its edges written out, and its shapes."""

import pytest
import torch
from torch.nn import functional as F

from search_spaces.architectures.nasbench201 import NasBench201
from search_spaces.cost import cost
from search_spaces.networks.nasbench201 import NasBench201Cell, ResidualBlock
from tests.search_spaces.networks.checks import counted_macs

STRING = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"


def test_a_cell_is_the_sum_of_its_edges():
    cell = NasBench201Cell(NasBench201.from_string(STRING).live_edges(), 4)
    x = torch.randn(2, 4, 6, 5)

    def conv(index: int, x: torch.Tensor) -> torch.Tensor:
        _, weights, norm = cell.edges[str(index)]
        out = F.conv2d(F.relu(x), weights.weight, padding=weights.weight.shape[2] // 2)
        return F.batch_norm(out, None, None, norm.weight, norm.bias, training=True)

    first = conv(0, x)
    inside = F.avg_pool2d(F.pad(torch.ones(1, 1, 6, 5), (1, 1, 1, 1)), 3, 1) * 9  # neighbours within the map
    average = F.avg_pool2d(first, 3, 1, padding=1) * 9 / inside
    expected = conv(3, x) + average + conv(5, first)
    torch.testing.assert_close(cell(x), expected)


@pytest.mark.parametrize("operation", ["none", "skip_connect"])
def test_a_cell_without_weights(operation):
    cell = NasBench201Cell(NasBench201(edges=(operation,) * 6).live_edges(), 3)
    x = torch.randn(1, 3, 4, 4)
    torch.testing.assert_close(cell(x), x * (4.0 if operation == "skip_connect" else 0.0))  # four paths


@pytest.mark.parametrize("size", [(9, 7), (8, 8)])
def test_shapes_gradients_and_counters(size):
    spec = NasBench201(edges=NasBench201.from_string(STRING).edges, channels=3, cells=2)
    network, image = spec.build((2, *size), 5), torch.randn(2, 2, *size)
    network(image)["out"].square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert network.eval()(image).shape == (2, 5)
    assert network.classifier_layer.out_features == 5
    with torch.device("meta"):
        meta = spec.build((2, *size), 5)
    assert cost(spec, (2, *size), 5).macs == counted_macs(meta, 2, *size)


def test_every_weight_has_a_gradient_where_the_cell_is_zero():
    network = NasBench201(edges=("none",) * 6, channels=3, cells=1).build((3, 8, 8), 4)
    network(torch.randn(2, 3, 8, 8))["out"].sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_the_shortcut_of_a_residual_block_averages():
    block = ResidualBlock(2, 4)
    torch.nn.init.zeros_(block.conv2[1].weight)
    x = torch.randn(3, 2, 6, 6)
    shortcut = F.conv2d(F.avg_pool2d(x, 2), block.shortcut[1].weight)
    torch.testing.assert_close(block(x), shortcut)
