"""Modules of stems and reductions."""

import torch
from torch.nn import functional as F

from search_spaces.blocks.normalization import BatchNorm
from search_spaces.blocks.stems import ParallelReduction, ParallelStem


def test_b04_a_parallel_stem_has_a_pooling_beside_a_convolution() -> None:
    stem, image = ParallelStem().build(3, 8, BatchNorm()).eval(), torch.randn(2, 3, 21, 34)
    found = stem(image)
    assert found.shape == (2, 8, 6, 9)
    half = stem.relu(stem.bn1(stem.conv1(image)))
    assert torch.equal(found[:, :4], F.max_pool2d(half, 3, 2, padding=1))
    assert ParallelStem().build(3, 7, BatchNorm())(image).shape == (2, 7, 6, 9)


def test_b04_a_reduction_pools_what_it_was_given() -> None:
    module, x = ParallelReduction().build(6, BatchNorm()), torch.randn(2, 6, 9, 7)
    found = module(x)
    assert found.shape == (2, 12, 5, 4)
    assert torch.equal(found[:, :6], F.max_pool2d(x, 3, 2, padding=1))
