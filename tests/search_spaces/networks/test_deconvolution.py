"""Modules of decoders of transposed convolutions."""

import torch

from search_spaces.blocks.base import Feature
from search_spaces.blocks.deconvolution import GroupedDeconvolution


def test_b08_each_one_doubles_and_is_grouped() -> None:
    maps = tuple(Feature(8, stride) for stride in (4, 8, 16))
    module = GroupedDeconvolution(width=12).build(maps)
    assert [layer.groups for layer in module.layers if isinstance(layer, torch.nn.ConvTranspose2d)] == [4, 12]
    given = [torch.randn(1, 8, *size) for size in ((9, 12), (5, 6), (3, 3))]
    assert module.layers(given[-1]).shape == (1, 12, 12, 12)
    assert module(given).shape == (1, 12, 9, 12)
