"""The grid of the auxiliary classifier."""

import torch

from search_spaces.networks.auxiliary import Grid


def test_the_grid_is_that_of_the_coarsest_map() -> None:
    x = torch.arange(100.0).view(1, 1, 10, 10)
    found = Grid(5)([torch.zeros(1, 3, 20, 20), x])
    assert found.shape == (1, 1, 5, 5)
    assert found[0, 0, 0, 0].item() == (0 + 1 + 10 + 11) / 4 and found.mean().item() == x.mean().item()
