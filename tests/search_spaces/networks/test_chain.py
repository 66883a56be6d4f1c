"""The chain's network against a slow one written out by hand, and what it does in its two modes."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.architectures.chain import Chain, ConvLayer, chain
from search_spaces.build import set_drop_path, set_progress
from search_spaces.networks.layers import DropPath
from search_spaces.space import Space
from tests.search_spaces.networks import checks


def _slow(spec, network, image):
    """The three repair rules in the plainest words, for odd kernels, in eval mode."""
    maps, read = [], set()
    for i, layer in enumerate(spec.layers):
        x = _joined([maps[j] for j in layer.inputs]) if layer.inputs else image
        read |= set(layer.inputs)
        weights = network.layers[i]
        x = F.pad(x, [layer.width // 2] * 2 + [layer.height // 2] * 2)
        x = F.conv2d(x, weights.conv.weight, stride=(layer.stride_height, layer.stride_width))
        norm = weights.norm
        x = F.relu(F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias))
        maps.append(F.max_pool2d(x, 2, ceil_mode=True) if i in spec.pool_after else x)
    ends = _joined([x for i, x in enumerate(maps) if i not in read])
    return ends.mean((2, 3)) @ network.classifier.weight.T + network.classifier.bias


def _joined(maps):
    height, width = max(x.shape[2] for x in maps), max(x.shape[3] for x in maps)
    padded = []
    for x in maps:
        full = torch.zeros(*x.shape[:2], height, width)
        top, left = (height - x.shape[2]) // 2, (width - x.shape[3]) // 2
        full[:, :, top : top + x.shape[2], left : left + x.shape[3]] = x
        padded.append(full)
    return torch.cat(padded, 1)


@pytest.mark.parametrize("seed", range(6))
def test_random_chains_compute_what_the_rules_say(seed):
    space = Space(chain(6, strides=True, filters=(4, 6), pool_after=(1,), grow=True, low=3))
    spec = space.realize(space.sample(np.random.default_rng(seed)))
    network = spec.build((3, 11, 8), 5)
    image = torch.randn(2, 3, 11, 8)
    network(image)  # moves the running statistics away from 0 and 1
    network.eval()
    with torch.no_grad():
        assert torch.allclose(network(image), _slow(spec, network, image), atol=1e-5)
        maps = spec.plan((3, 11, 8))
        seen = []
        hooks = [layer.register_forward_hook(lambda _, __, out: seen.append(out.shape[1:])) for layer in network.layers]
        network(image)
        assert [tuple(shape) for shape in seen] == [plan.shape for plan in maps]
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("kernel", [(2, 4), (4, 1), (3, 2)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_even_kernels_keep_the_size_of_same_padding(kernel, stride):
    layer = ConvLayer(height=kernel[0], width=kernel[1], stride_height=stride, stride_width=stride, filters=2)
    network = Chain(layers=(layer,)).build((1, 7, 8), 2)
    out = network.layers[0](torch.randn(1, 1, 7, 8))
    assert out.shape == (1, 2, -(-7 // stride), -(-8 // stride))


def test_an_even_kernel_has_the_extra_zero_at_the_end():
    network = Chain(layers=(ConvLayer(height=2, width=2, filters=1),)).build((1, 3, 3), 2)
    image = torch.randn(1, 1, 3, 3)
    same = F.conv2d(F.pad(image, (0, 1, 0, 1)), network.layers[0].conv.weight)
    network.layers[0].eval()
    assert torch.allclose(network.layers[0](image), F.relu(same) / (1 + 1e-5) ** 0.5)


def test_pooling_a_single_pixel_leaves_it():
    spec = Chain(
        layers=tuple(ConvLayer(filters=4, inputs=(i - 1,) if i else ()) for i in range(6)), pool_after=range(6)
    )
    assert spec.plan((1, 8, 8))[-1].shape == (4, 1, 1)
    assert spec.build((1, 8, 8), 10).eval()(torch.randn(2, 1, 8, 8)).shape == (2, 10)


def test_eval_returns_the_logits_alone_and_train_a_dict():
    network = Chain(layers=(ConvLayer(filters=4),)).build((1, 8, 8), 10)
    image = torch.randn(2, 1, 8, 8)
    out = network.train()(image)
    assert list(out) == ["out"] and out["out"].shape == (2, 10)
    assert network.eval()(image).shape == (2, 10)


def test_every_weight_gets_a_gradient():
    spec = Chain(layers=(ConvLayer(), ConvLayer(inputs=(0,)), ConvLayer(), ConvLayer(inputs=(0, 2))))
    network = spec.build((1, 8, 8), 10)
    network(torch.randn(4, 1, 8, 8))["out"].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_drop_path_grows_with_depth_and_only_where_paths_meet():
    spec = Chain(layers=tuple(ConvLayer(filters=2, inputs=tuple(range(i))) for i in range(4)))
    network = spec.build((1, 4, 4), 2)
    places = {name: m.depth for name, m in network.named_modules() if isinstance(m, DropPath)}
    assert places == {"layers.2.drop_path": 0.75, "layers.3.drop_path": 1.0}
    loose = Chain(layers=(ConvLayer(), ConvLayer())).build((1, 4, 4), 2)
    assert {name: m.depth for name, m in loose.named_modules() if isinstance(m, DropPath)} == {"drop_path": 1.0}


def test_drop_path_changes_training_and_not_evaluation():
    network = Chain(layers=(ConvLayer(filters=4), ConvLayer(filters=4))).build((1, 4, 4), 2)
    image = torch.randn(512, 1, 4, 4)
    plain = network(image)["out"]
    set_drop_path(network, 0.5)
    set_progress(network, 0.0)
    assert torch.allclose(network(image)["out"], plain)
    set_progress(network, 1.0)
    # Both loose ends of an example are dropped with probability 1/4; then nothing is left but the bias.
    empty = torch.isclose(network(image)["out"], network.classifier.bias).all(1).float().mean().item()
    assert empty == pytest.approx(0.25, abs=0.1)
    with_rate = network.eval()(image)
    set_drop_path(network, 0.0)
    assert torch.equal(with_rate, network(image))


def test_the_network_can_be_exported():
    network = Chain(
        layers=(ConvLayer(filters=4), ConvLayer(filters=4, stride_height=2), ConvLayer(inputs=(0, 1)))
    ).build((1, 8, 8), 3)
    image = torch.randn(2, 1, 8, 8)
    network.eval()
    exported = torch.export.export(network, (image,)).module()
    assert torch.allclose(exported(image), network(image), atol=1e-6)


def test_by_default_weights_are_drawn_as_torch_draws_those_of_convolutions():
    spec = Chain(layers=(ConvLayer(filters=4), ConvLayer(filters=5, height=2, inputs=(0,))))
    torch.manual_seed(1)
    network = spec.build((3, 8, 8), 10)
    torch.manual_seed(1)
    first, second, linear = nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 5, (2, 3), bias=False), nn.Linear(5, 10)
    assert torch.equal(network.layers[0].conv.weight, first.weight)
    assert torch.equal(network.layers[1].conv.weight, second.weight)
    assert torch.equal(network.classifier.weight, linear.weight)


def test_a_layer_is_convolution_norm_relu_attention_pooling():
    attention = {"kind": "se", "reduction": 1}
    data = {"filters": 4, "conv": "separable", "norm": "group", "attention": attention}
    layer = ConvLayer.from_data(data)
    network = Chain(layers=(layer,), pool_after=(0,)).build((3, 8, 8), 10)
    part, x = network.layers[0], torch.randn(2, 3, 8, 8)
    inner = part.conv.pointwise(part.conv.depthwise(x))
    inner = F.relu(F.group_norm(inner, 4))
    assert torch.allclose(part(x), F.max_pool2d(part.attention(inner), 2), atol=1e-6)


def test_without_a_norm_there_is_only_the_convolution():
    network = Chain(layers=(ConvLayer(filters=4, norm=None),)).build((3, 8, 8), 10)
    assert list(network.state_dict()) == ["layers.0.conv.weight", "classifier.weight", "classifier.bias"]
    part, x = network.layers[0], torch.randn(2, 3, 8, 8)
    assert torch.equal(part(x), F.conv2d(x, part.conv.weight, padding=1).relu())


@pytest.mark.parametrize("kind", ["deformable", "active", "sparse_shift", "dynamic_filter", "octave", "heterogeneous"])
def test_chains_of_unusual_convolutions_can_be_exported_for_any_number_of_images(kind):
    layer = ConvLayer.from_data({"filters": 8, "conv": kind, "inputs": [0]})
    checks.assert_exports(Chain(layers=(ConvLayer(filters=4), layer)).build((1, 4, 4), 3), torch.randn(2, 1, 4, 4))
