"""Losses of gates against numbers counted by hand."""

import pytest
import torch

from search_spaces.recipe.gates import SkipPenalty, TargetRate
from trainers.tricks.gates import expected_macs, skip_penalty, target_rate


def _opened(*rates: float) -> torch.Tensor:
    return torch.stack([(torch.arange(10) < round(10 * rate)).float() for rate in rates], dim=1)


def test_o03_the_distance_of_rates_from_their_target() -> None:
    found = target_rate(TargetRate(rate=0.6, weight=1.0), _opened(0.5, 0.7, 0.6), (1, 1, 1))
    assert found.item() == pytest.approx(0.0066667, abs=1e-6)
    assert target_rate(TargetRate(), _opened(0.5, 0.7, 0.6), (1, 1, 1)).item() == pytest.approx(2 * 0.0066667, abs=1e-6)


def test_the_share_of_the_cost_that_is_taken() -> None:
    found = skip_penalty(SkipPenalty(weight=0.5), _opened(1.0, 0.2), (300, 100))
    assert found.item() == pytest.approx(0.5 * (300 + 0.2 * 100) / 400)


def test_o02_multiply_adds_add_up() -> None:
    assert expected_macs(1000, (300, 100), (1.0, 1.0)) == 1000
    assert expected_macs(1000, (300, 100), (0.5, 0.2)) == 1000 - 150 - 80
    assert expected_macs(1000, (), ()) == 1000
