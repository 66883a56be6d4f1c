"""Modules of channel attention."""

import torch
from torch import nn

from search_spaces.blocks.attention import SqueezeExcitation
from search_spaces.blocks.base import Feature


def test_without_weights_every_channel_is_halved() -> None:
    module = SqueezeExcitation(reduction=4).build((Feature(8, 4),))
    nn.init.zeros_(module.expand.weight)
    nn.init.zeros_(module.expand.bias)
    x = torch.randn(2, 8, 5, 6)
    assert torch.equal(module(x), x / 2)
