"""Modules of fusion."""

import torch
from torch.nn import functional as F

from search_spaces.networks.fusion import AddModule, ConcatModule


def test_the_sum_is_a_concatenation_whose_next_layer_has_tied_weights() -> None:
    x, y, weight = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8), torch.randn(5, 3, 3, 3)
    added = F.conv2d(AddModule()([x, y]), weight)
    concatenated = F.conv2d(ConcatModule()([x, y]), torch.cat([weight, weight], 1))
    assert (added - concatenated).abs().max() < 2e-5


def test_others_are_brought_to_the_size_of_the_first() -> None:
    maps = [torch.zeros(1, 2, 8, 6), torch.ones(1, 2, 4, 3), torch.ones(1, 2, 1, 1)]
    assert torch.equal(AddModule()(maps), torch.full((1, 2, 8, 6), 2.0))
    assert ConcatModule()(maps).shape == (1, 6, 8, 6)
