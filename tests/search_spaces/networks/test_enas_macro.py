"""The network of ENAS' macro space: what each layer computes, shapes, gradients, counters."""

import pytest
import torch
from torch.nn import functional as F

from search_spaces.architectures.enas_macro import OPERATIONS, EnasMacro
from search_spaces.cost import cost
from search_spaces.networks.enas_macro import operation
from tests.search_spaces.networks.checks import counted_macs


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_behind_a_1x1_convolution(name):
    module, x = operation(name, 4).eval(), torch.randn(2, 4, 7, 6)
    first = F.conv2d(x.relu(), module[0][1].weight) / (1 + 1e-5) ** 0.5
    if name.startswith("max"):
        expected = F.max_pool2d(first, 3, 1, 1)
    elif name.startswith("avg"):
        expected = F.avg_pool2d(first, 3, 1, 1, count_include_pad=False)
    else:
        expected, groups = first.relu(), 4 if name.startswith("sep") else 1
        size = int(name[-1])
        expected = F.conv2d(expected, module[1][1].weight, padding=size // 2, groups=groups)
        if groups > 1:
            expected = F.conv2d(expected, module[1][2].weight)
        expected = expected / (1 + 1e-5) ** 0.5
        assert module[1][1].weight.shape[2:] == (size, size)
    torch.testing.assert_close(module(x), expected)


def test_skips_read_the_maps_they_name():
    layers = [{"operation": "max_pool_3x3", "skips": s} for s in ([], [], [1])]
    network = EnasMacro.from_data({"layers": layers, "channels": 4}).build((1, 8, 8), 3).eval()
    image, seen = torch.randn(2, 1, 8, 8), []
    network.layers[2].register_forward_hook(lambda module, inputs, output: seen.append(inputs[1]))
    network(image)
    first = network.layers[0](network.stem(image), [])
    expected = network.halving2["1"](network.halving1["1"](first))
    ((skip,),) = seen
    torch.testing.assert_close(skip, expected)


@pytest.mark.parametrize("size", [(13, 9), (16, 16)])
def test_shapes_gradients_and_counters(size):
    layers = [{"operation": name, "skips": list(range(i))} for i, name in enumerate(OPERATIONS)]
    spec = EnasMacro.from_data({"layers": layers, "channels": 4})
    network, image = spec.build((2, *size), 5), torch.randn(2, 2, *size)
    network(image)["out"].square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert network.eval()(image).shape == (2, 5) and network.classifier_layer.in_features == 16
    with torch.device("meta"):
        meta = spec.build((2, *size), 5)
    assert cost(spec, (2, *size), 5).macs == counted_macs(meta, 2, *size)
