"""Costs against numbers counted by hand and against torch's own counter."""

import time

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.architectures.chain import Chain, ConvLayer
from search_spaces.cost import Cost, cost, network_cost
from search_spaces.reference import names, reference


def test_a_chain_of_two_layers_counted_by_hand():
    # Layer 0: 3x5 on 3 channels, 24 filters, stride 2 in height: 8x8 -> 4x8, max pooling -> 2x4.
    # Layer 1: 1x1 on 24 channels, 36 filters: 2x4. Classifier: 36 -> 10.
    spec = Chain(
        layers=(
            ConvLayer(height=3, width=5, stride_height=2, filters=24),
            ConvLayer(height=1, width=1, filters=36, inputs=(0,)),
        ),
        pool_after=(0,),
    )
    params = (3 * 5 * 3 * 24 + 2 * 24) + (24 * 36 + 2 * 36) + (36 * 10 + 10)
    macs = 4 * 8 * 24 * (3 * 5 * 3) + 2 * 4 * 36 * 24 + 36 * 10
    # Convolution and norm of each layer, the pooling, the average and the logits; ReLU works in place.
    numbers = 2 * (4 * 8 * 24) + 2 * 4 * 24 + 2 * (2 * 4 * 36) + 36 + 10
    assert (params, macs) == (2434, 41832)
    assert cost(spec, (3, 8, 8), 10) == Cost(params, macs, 4 * numbers)


def test_a_concatenation_takes_memory_and_a_pad_counts_by_its_larger_size():
    spec = Chain(
        layers=(
            ConvLayer(height=1, width=1, filters=2),
            ConvLayer(height=1, width=1, filters=3, stride_height=2, stride_width=2, inputs=(0,)),
            ConvLayer(height=1, width=1, filters=5, inputs=(0, 1)),
        )
    )
    found = cost(spec, (1, 4, 4), 2)
    assert found.macs == 16 * 2 * 1 + 4 * 3 * 2 + 16 * 5 * (2 + 3) + 5 * 2
    assert found.activation_bytes == 4 * (2 * 16 * 2 + 2 * 4 * 3 + 16 * 5 + 2 * 16 * 5 + 5 + 2)


@pytest.mark.parametrize(
    ("layer", "shape", "macs", "numbers"),
    [
        (nn.Conv2d(4, 6, 3, groups=2, padding=1), (4, 5, 5), 25 * 6 * (4 // 2) * 9, 25 * 6),
        (nn.Conv2d(4, 4, (1, 3), stride=2, groups=4), (4, 5, 5), 3 * 2 * 4 * 3, 3 * 2 * 4),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), (4, 5, 5), 25 * 4 * 6 * 4, 100 * 6),
        (nn.Conv1d(2, 3, 5), (2, 9), 5 * 3 * 2 * 5, 15),
        (nn.Linear(7, 3), (4, 7), 4 * 7 * 3, 12),
        (nn.Sequential(nn.Identity(), nn.Flatten(), nn.ReLU(inplace=True), nn.ReLU()), (2, 3), 0, 12),
    ],
    ids=["grouped", "depthwise", "transposed", "1-d", "linear", "in-place"],
)
def test_single_layers_counted_by_hand(layer, shape, macs, numbers):
    params = sum(p.numel() for p in layer.parameters())
    assert network_cost(layer, shape) == Cost(params, macs, 4 * numbers)


@pytest.mark.parametrize("name", [name for name in names() if not name.endswith(":...")])
def test_every_reference_agrees_with_torchs_counter(name):
    architecture, shape, outputs = reference(name)
    # On the meta device the steps of a tree cell are left out.
    with torch.device("cpu" if name == "nascell" else "meta"):
        network = architecture.build(shape, outputs).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, *shape, dtype=getattr(network, "input_dtype", torch.float32)))
    found = cost(architecture, shape, outputs)
    assert 2 * found.macs == counter.get_total_flops()
    aux = {name for name, _ in network.named_parameters() if name.startswith("aux.")}
    assert found.params == sum(p.numel() for name, p in network.named_parameters() if name not in aux)


def test_auxiliary_heads_and_frozen_weights_are_no_trainable_parameters():
    network = nn.ModuleDict({"body": nn.Linear(3, 4, bias=False), "aux": nn.Linear(4, 9), "auxiliary": nn.Linear(1, 2)})
    network.forward = network["body"].forward
    assert network_cost(network, (3,)).params == 12 + 4
    network["auxiliary"].requires_grad_(False)
    assert network_cost(network, (3,)).params == 12


def test_weights_of_a_shared_layer_count_once_and_its_work_each_time():
    layer = nn.Linear(4, 4, bias=False)
    assert network_cost(nn.Sequential(layer, layer), (4,)) == Cost(16, 32, 4 * 8)


def test_counting_touches_neither_the_generator_nor_a_network_that_exists():
    before = torch.random.get_rng_state()
    cost(*reference("chain-6"))
    assert torch.equal(before, torch.random.get_rng_state())
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout())
    network[2].eval()
    network_cost(network, (1, 4, 4))
    assert network[1].running_mean.abs().sum() == 0
    assert [module.training for module in network] == [True, True, False]
    assert network(torch.ones(2, 1, 4, 4)).abs().max() < 1e-3  # batch norm works again: a constant map becomes zero
    assert not any(module._forward_hooks for module in network)


def test_a_chain_of_six_layers_is_counted_in_a_few_milliseconds():
    spec = reference("chain-6")
    cost(*spec)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        cost(*spec)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.03
