"""What networks of dynamic depth cost on average."""

import torch
from torch import nn

from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.depth_gates import AdaptiveGate
from search_spaces.cost import cost
from trainers.learners.depth import Depth

SPEC = Resnet(depths=(3, 2), widths=(4, 8), stem="cifar", gate=AdaptiveGate())
SHAPE = (1, 8, 8)


def _network(bias: float) -> nn.Module:
    network = SPEC.build(SHAPE, 3).eval()
    for gate in network.gates.gates:
        nn.init.zeros_(gate[2].weight)
        gate[2].bias.data = torch.tensor([0.0, bias])
    return network


def test_without_gates_every_image_costs_the_same() -> None:
    plain = SPEC.model_copy(update={"gate": None})
    depth = Depth(plain, SHAPE, 3)
    network = plain.build(SHAPE, 3).eval()
    image = torch.randn(5, *SHAPE)
    with depth.counting(network):
        network(image)
    assert depth.average_macs() == cost(plain, SHAPE, 3).macs


def test_shut_gates_take_their_units_off() -> None:
    depth, image = Depth(SPEC, SHAPE, 3), torch.randn(5, *SHAPE)
    # Two units of 8x8 positions with 2 x 9 x 4 x 4 weights, one of 4x4 with 2 x 9 x 8 x 8: the first of a stage stays.
    assert depth.macs == (64 * 288, 64 * 288, 16 * 1152)
    whole = cost(SPEC, SHAPE, 3).macs
    for bias, taken in ((1.0, whole), (-1.0, whole - sum(depth.macs))):
        network = _network(bias)
        for _ in range(2):  # counts begin anew each time
            with depth.counting(network):
                network(image)
                network(image[:2])
            assert depth.average_macs() == taken
        network(image)
        assert depth.average_macs() == taken


def test_o02_o03_open_gates_make_the_plain_network_and_shut_ones_the_identity() -> None:
    plain = SPEC.model_copy(update={"gate": None}).build(SHAPE, 3).eval()
    image = torch.randn(2, *SHAPE)
    opened = _network(1.0)
    plain.load_state_dict({k: v for k, v in opened.state_dict().items() if not k.startswith("gates")})
    assert torch.equal(opened(image), plain(image))
    shut = _network(-1.0)
    plain.load_state_dict({k: v for k, v in shut.state_dict().items() if not k.startswith("gates")})
    plain.layer1, plain.layer2 = plain.layer1[:1], plain.layer2[:1]
    assert torch.equal(shut(image), plain(image))
