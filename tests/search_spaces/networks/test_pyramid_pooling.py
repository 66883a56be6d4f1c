"""Spatial pyramid pooling against its definition."""

import pytest
import torch

from search_spaces.blocks.base import Feature
from search_spaces.blocks.pyramid_pooling import SpatialPyramid


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (12, 12)])
def test_d01_any_size_gives_as_many_numbers(size: tuple[int, int]) -> None:
    spec = SpatialPyramid(bins=(1, 2, 3, 6))
    inputs = (Feature(2, 8), Feature(3, 16))
    module = spec.build(inputs)
    assert list(module.parameters()) == []
    assert module([torch.randn(2, 2, 30, 30), torch.randn(2, 3, *size)]).shape == (2, spec.features(inputs)) == (2, 150)


def test_each_number_is_the_maximum_of_a_cell() -> None:
    x = torch.randn(2, 3, 4, 6)
    found = SpatialPyramid(bins=(1, 2)).build((Feature(3, 8),))([x])
    assert torch.equal(found[:, :3], x.amax((2, 3)))
    cells = [
        x[:, :, rows, columns].amax((2, 3)) for rows in (slice(2), slice(2, 4)) for columns in (slice(3), slice(3, 6))
    ]
    assert torch.equal(found[:, 3:], torch.stack(cells, 2).flatten(1))
