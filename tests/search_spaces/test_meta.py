"""What is left out on the meta device changes no count."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.architectures.resnet import Resnet
from search_spaces.architectures.segmenter import Segmenter
from search_spaces.blocks.decoders import PanopticFpn
from search_spaces.blocks.decoders_refine import RefineNet
from search_spaces.cost import cost, network_cost
from search_spaces.meta import ShapesOnly, like

TINY = Resnet(depths=(1, 1, 1), widths=(4, 6, 8), stem="strided")


def test_shapes_and_types_are_those_of_torch() -> None:
    x, y = torch.randn(2, 3, 5, 7, device="meta"), torch.randn(2, 3, 5, 7, device="meta")
    half = x.to(torch.bfloat16)
    calls = [
        lambda: F.interpolate(x, size=(9, 4), mode="bilinear", align_corners=False),
        lambda: F.interpolate(x, scale_factor=2.0, mode="nearest"),
        lambda: nn.Upsample(scale_factor=3)(x),
        lambda: F.interpolate(half, (4, 4)),
        lambda: x + y,
        lambda: x * y,
        lambda: x + half,
        lambda: x + 1,
        lambda: x - y[:1, :, :, :1],
        lambda: F.relu(x),
        lambda: nn.GroupNorm(3, 3, device="meta")(x),
        lambda: torch.sigmoid(half),
        lambda: torch.add(x, y, alpha=2),
        lambda: nn.Conv2d(3, 6, (3, 5), stride=(2, 3), padding=(4, 1), dilation=(1, 2), groups=3, device="meta")(x),
        lambda: nn.Conv2d(3, 4, 3, padding="same", device="meta")(x),
        lambda: F.conv2d(x, x[:, :, :3, :2], stride=2),
    ]
    for call in calls:
        plain = call()
        with ShapesOnly():
            found = call()
        assert (found.shape, found.dtype, found.device) == (plain.shape, plain.dtype, plain.device)
    with ShapesOnly():
        assert F.relu(x, inplace=True) is x and nn.ReLU(inplace=True)(x) is x
        with pytest.raises(RuntimeError):
            x + y[:, :, :2]
        with pytest.raises(RuntimeError, match="channel"):
            nn.Conv2d(4, 4, 3, device="meta")(x)
        with pytest.raises(RuntimeError, match="Kernel size"):
            nn.Conv2d(3, 4, 8, device="meta")(x)
    assert like(half).dtype == torch.bfloat16 and like(x).shape == x.shape


def test_weights_are_not_drawn() -> None:
    with ShapesOnly(), torch.device("meta"):
        layer = nn.Conv2d(3, 4, 3)
        nn.init.kaiming_normal_(layer.weight)
    assert layer.weight.shape == (4, 3, 3, 3) and layer.weight.is_meta
    state = torch.get_rng_state()
    with ShapesOnly():
        nn.Linear(3, 4)
        weight = torch.full((2, 2), 7.0)
        assert weight.normal_() is weight and nn.init.kaiming_normal_(weight) is weight
        assert nn.init.kaiming_uniform_(tensor=weight) is weight
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(weight, torch.full((2, 2), 7.0))


@pytest.mark.parametrize("decoder", [PanopticFpn(pyramid_width=6, width=4, merge="weighted_add"), RefineNet(width=4)])
def test_the_cost_is_that_of_the_network_with_numbers(decoder) -> None:
    spec = Segmenter(backbone=TINY, context=None, decoder=decoder)
    assert cost(spec, (3, 27, 38), 5) == network_cost(spec.build((3, 27, 38), 5), (3, 27, 38))
