"""Modules of global pooling."""

import torch

from search_spaces.networks.pooling import AverageModule


def test_the_average_is_blind_to_the_order_of_positions() -> None:
    x = torch.randn(2, 3, 4, 5)
    mixed = x.flatten(2)[..., torch.randperm(20)].reshape(x.shape)
    assert torch.allclose(AverageModule()([x]), AverageModule()([mixed]), atol=1e-6)
    assert AverageModule()([x]).shape == (2, 3)
