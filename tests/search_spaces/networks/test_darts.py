"""The network of two-cell architectures, and its operations against others written out."""

import pytest
import torch
from torch.nn import functional as F

from search_spaces.architectures.darts import OPERATIONS, darts
from search_spaces.build import set_drop_path
from search_spaces.networks.darts import AuxiliaryHead, FactorizedReduction, operation
from search_spaces.reference import reference


def _small(**fields):
    spec = reference("darts-v2").architecture
    return spec.from_data(spec.to_data() | {"layers": 3, "channels": 4, "aux": False} | fields)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("stride", [1, 2])
def test_operations_keep_channels_and_divide_sizes(name, stride):
    made = operation(name, 4, stride)
    x = torch.randn(2, 4, 7, 8)
    assert made(x).shape == (2, 4, *((7, 8) if stride == 1 else (4, 4)))
    # A 3x3 separable convolution twice, a dilated one once.
    counts = {"sep3": 2 * (36 + 16 + 8), "sep5": 2 * (100 + 16 + 8), "dil3": 36 + 16 + 8, "dil5": 100 + 16 + 8}
    skip = 16 + 8 if name == "skip" and stride == 2 else 0
    assert sum(p.numel() for p in made.parameters()) == counts.get(name, skip)


def test_the_average_does_not_count_zeros_around():
    x = torch.ones(1, 2, 4, 4)
    assert torch.equal(operation("avg3", 2, 1)(x), x)


def test_a_factorized_reduction_reads_even_and_odd_positions():
    made = FactorizedReduction(2, 4).eval()
    x = torch.rand(1, 2, 6, 6)
    even, odd = (F.conv2d(x[:, :, i::2, i::2], conv.weight) for i, conv in enumerate((made.conv1, made.conv2)))
    assert torch.allclose(made(x), torch.cat([even, odd], 1) / (1 + 1e-5) ** 0.5, atol=1e-6)
    assert made(torch.rand(1, 2, 1, 1)).shape == (1, 4, 1, 1)


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_outputs_in_train_and_eval_mode(stem):
    network = _small(stem=stem, aux=True).build((3, 36, 36), 5)
    found = network(torch.randn(2, 3, 36, 36))
    assert {name: value.shape for name, value in found.items()} == {"out": (2, 5), "aux": (2, 5)}
    assert network.eval()(torch.randn(2, 3, 36, 36)).shape == (2, 5)
    assert list(_small().build((3, 8, 8), 5)(torch.randn(2, 3, 8, 8))) == ["out"]


@pytest.mark.parametrize(("size", "imagenet", "stride"), [(8, False, 3), (7, True, 2)])
def test_the_auxiliary_head_averages_as_published(size, imagenet, stride):
    head = AuxiliaryHead(6, 3, imagenet).eval()
    x = torch.randn(2, 6, size, size)
    averages = F.avg_pool2d(F.relu(x), 5, stride)
    assert torch.equal(head(x), head.classifier(head.features(averages).flatten(1)))
    assert head(torch.randn(2, 6, 2, 2)).shape == (2, 3)


def test_all_paths_but_plain_skips_are_dropped_alike():
    network = _small().build((3, 8, 8), 5)
    # 6 of the 8 paths of the normal cell; all of the reduction, whose skips read nodes, are 5 of 8.
    assert set_drop_path(network, 0.3) == 6 + 2 * 5
    assert {m.depth for m in network.modules() if hasattr(m, "depth")} == {1.0}


def test_gradients_reach_every_weight():
    network = _small(aux=True).build((3, 16, 16), 5)
    found = network(torch.randn(4, 3, 16, 16))
    (found["out"].square().sum() + found["aux"].square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    assert network.classifier_layer is network.classifier
    assert darts().channels == 16
