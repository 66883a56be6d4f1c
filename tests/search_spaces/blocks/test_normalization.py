"""Specs of normalisations."""

import pytest
import torch

from search_spaces.blocks.normalization import BatchNorm, GroupNorm, InstanceNorm


@pytest.mark.parametrize(("norm", "over"), [(GroupNorm(groups=4), (2, 3, 4)), (InstanceNorm(), (3, 4))])
def test_mean_and_variance_of_each_group(norm, over) -> None:
    x = torch.randn(2, 8, 5, 6) * 3 + 1
    found = norm.build(8)(x).reshape(2, 4, 2, 5, 6)
    assert found.mean(over).abs().max() < 1e-5
    assert (found.var(over, unbiased=False) - 1).abs().max() < 1e-3


def test_the_momentum_of_a_batch_norm() -> None:
    norm = BatchNorm(momentum=0.25).build(3)
    norm(torch.ones(2, 3, 4, 4) * 8)
    assert norm.running_mean.tolist() == [2.0, 2.0, 2.0]
