"""What the gated convolution computes."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.gated_conv import GatedConv


@pytest.mark.parametrize(("bias", "scale"), [(-100.0, 1.0), (100.0, 2.0)])
def test_a19_a_closed_gate_leaves_the_map_and_an_open_one_doubles_it(bias: float, scale: float) -> None:
    module: Any = GatedConv().build(4, 3).eval()
    nn.init.constant_(module.gate[4].bias, bias)
    x, guide = torch.randn(2, 4, 6, 8), torch.randn(2, 3, 3, 4)
    assert torch.allclose(module(x, guide), F.conv2d(scale * x, module.project.weight), atol=1e-6)


def test_a19_weights_lie_between_and_there_is_one_a_position() -> None:
    module: Any = GatedConv().build(4, 3)
    x, guide = torch.randn(2, 4, 6, 8), torch.randn(2, 3, 3, 4)
    weights = module.weights(x, guide)
    assert weights.shape == (2, 1, 6, 8) and 0 < weights.min() < weights.max() < 1
    assert torch.allclose(module(x, guide), F.conv2d(x * (1 + weights), module.project.weight), atol=1e-6)
    other = module.weights(x, guide.flip(3))
    assert not torch.allclose(weights, other)


def test_a19_a_guide_of_one_channel_is_taken_as_it_is() -> None:
    module: Any = GatedConv().build(4, 1)
    x, guide = torch.randn(2, 4, 6, 8), torch.randn(2, 1, 6, 8)
    assert torch.equal(module.weights(x, guide), module.gate(torch.cat([x, guide], 1)))
