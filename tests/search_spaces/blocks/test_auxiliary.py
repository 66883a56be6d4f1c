"""The auxiliary classifier as a spec."""

import torch

from search_spaces.blocks.auxiliary import AuxiliaryClassifier
from search_spaces.blocks.base import Feature

MAPS = (Feature(8, 8), Feature(24, 16))


def test_f13_parameters_by_formula() -> None:
    module = AuxiliaryClassifier(width=6, hidden=10).build(MAPS, 7)
    convolutions = 24 * 6 + 2 * 6 + 25 * 6 * 10 + 2 * 10
    assert sum(p.numel() for p in module.parameters()) == convolutions + 10 * 7 + 7
    # As in Inception v3, at its 17x17 map of 768 channels.
    with torch.device("meta"):
        paper = AuxiliaryClassifier().build((Feature(768, 16),), 1000)
    assert sum(p.numel() for p in paper.parameters()) == 768 * 128 + 256 + 25 * 128 * 768 + 1536 + 769_000


def test_f13_it_takes_maps_of_any_size_and_reads_the_coarsest() -> None:
    module = AuxiliaryClassifier(width=4, hidden=6).build(MAPS, 3).eval()
    assert [name for name, _ in module.named_children()] == ["grid", "conv", "whole", "flat", "fc"]
    for size in ((17, 17), (5, 9), (1, 1)):
        assert module([torch.randn(2, 8, 40, 40), torch.randn(2, 24, *size)]).shape == (2, 3)
