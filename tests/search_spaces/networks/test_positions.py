"""Encodings of positions."""

import math

import pytest
import torch

from search_spaces.networks.positions import (
    LearnedPositions,
    SinusoidalPositions,
    coordinate_grid,
    one_hot_grid,
    positions,
    sinusoid,
    sinusoid_grid,
)


def test_c07_sinusoids_are_those_of_the_paper() -> None:
    found = sinusoid(torch.arange(50), 8)
    for p, i in [(0, 0), (3, 0), (7, 1), (49, 3)]:
        angle = p / 10_000 ** (2 * i / 8)
        assert found[p, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-5)
        assert found[p, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-5)


def test_c07_every_sinusoid_has_the_same_length_and_products_depend_on_distances() -> None:
    found = sinusoid(torch.arange(100), 64)
    products = found @ found.T
    assert torch.allclose(products.diagonal(), torch.full((100,), 32.0), atol=1e-3)
    for k in (1, 5, 40):
        apart = products.diagonal(k)
        assert torch.allclose(apart, apart[:1].expand_as(apart), atol=1e-3)
    assert products[0, 1] > products[0, 5] + 1


def test_half_of_a_sinusoid_on_a_map_is_for_the_row_and_half_for_the_column() -> None:
    found = sinusoid_grid(3, 5, 16)
    assert found.shape == (16, 3, 5)
    assert torch.equal(found[:8, 2, 1], sinusoid(torch.tensor(2), 8))
    assert torch.equal(found[8:, 2, 1], sinusoid(torch.tensor(1), 8))
    assert torch.allclose(found.square().sum(0), torch.full((3, 5), 8.0), atol=1e-5)


def test_coordinates_are_those_of_the_middle_between_borders_at_1() -> None:
    x, y = coordinate_grid(2, 4)
    assert x.tolist() == [[-0.75, -0.25, 0.25, 0.75]] * 2
    assert y.tolist() == [[-0.5] * 4, [0.5] * 4]


@pytest.mark.parametrize("size", [(3, 5), (16, 16), (40, 23)], ids=str)
def test_one_hot_cells_cover_a_map_of_any_size(size: tuple[int, int]) -> None:
    found = one_hot_grid(*size)
    assert found.shape == (32, *size)
    assert torch.equal(found[:16].sum(0), torch.ones(size)) and torch.equal(found[16:].sum(0), torch.ones(size))
    columns, rows = found[:16].argmax(0), found[16:].argmax(0)
    assert columns[0].tolist() == [int(16 * (j + 0.5) / size[1]) for j in range(size[1])]
    assert rows[:, 0].tolist() == [int(16 * (i + 0.5) / size[0]) for i in range(size[0])]


def test_sinusoids_are_added_to_a_map_in_its_precision() -> None:
    x = torch.randn(2, 8, 3, 5)
    assert torch.equal(SinusoidalPositions()(x), x + sinusoid_grid(3, 5, 8))
    assert SinusoidalPositions()(x.bfloat16()).dtype == torch.bfloat16


def test_learned_vectors_fit_a_map_of_any_size() -> None:
    module = LearnedPositions(6)
    assert [tuple(p.shape) for p in module.parameters()] == [(1, 6, 16, 16)]
    x = torch.zeros(2, 6, 16, 16)
    assert torch.equal(module(x), module.grid.expand(2, -1, -1, -1))
    for size in [(1, 1), (3, 40)]:
        assert module(torch.zeros(2, 6, *size)).shape == (2, 6, *size)
    with torch.no_grad():
        module.grid.fill_(2.0)
    assert torch.allclose(module(torch.zeros(1, 6, 5, 7)), torch.full((1, 6, 5, 7), 2.0))


def test_no_positions_leave_a_map_as_it_is() -> None:
    x = torch.randn(2, 6, 3, 5)
    assert positions("none", 6)(x) is x
    assert isinstance(positions("sin", 8), SinusoidalPositions) and isinstance(
        positions("learned", 6), LearnedPositions
    )
