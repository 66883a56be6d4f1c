import pytest
import torch
from torch.nn import functional as F

from search_spaces.recipe import DualTask, EdgeLoss
from trainers.data.pictures import IGNORE
from trainers.determinism import Generators
from trainers.tricks.edges import boundary, boundary_gap
from trainers.tricks.loss import edges_of
from trainers.tricks.registry import implementation


def _masks() -> torch.Tensor:
    masks = torch.zeros(2, 10, 10, dtype=torch.int64)
    masks[0, :, 5:] = 1
    masks[1, 3:7, 3:7] = 2
    return masks


def _certain(masks: torch.Tensor) -> torch.Tensor:
    return 1e4 * F.one_hot(masks, 3).movedim(-1, 1).float()


def test_h12_a_prediction_that_is_the_label_costs_nothing() -> None:
    masks = _masks()
    edges = 1e4 * (edges_of(masks).float().unsqueeze(1) * 2 - 1)
    assert implementation(EdgeLoss())(edges, masks).item() == 0.0
    with Generators(0):
        assert implementation(DualTask())(_certain(masks), edges, masks).item() == 0.0


def test_h12_without_edges_the_regulariser_is_zero() -> None:
    masks = torch.ones(1, 8, 8, dtype=torch.int64)
    with Generators(0):
        assert boundary_gap(_certain(masks), masks, 1.0).item() == 0.0


def test_h12_a_boundary_in_another_place_costs_and_pulls() -> None:
    masks = _masks()
    logits = (_certain(masks.roll(2, dims=2)) / 1e3).requires_grad_(True)
    with Generators(0):
        found = boundary_gap(logits, masks, 1.0)
    found.backward()
    assert found.item() > 0.1
    assert logits.grad is not None and logits.grad.isfinite().all() and logits.grad.any()


def test_h12_the_boundary_of_a_step_is_a_ridge_along_it() -> None:
    step = torch.zeros(1, 1, 9, 9)
    step[..., 5:] = 1.0
    found = boundary(step)[0, 0]
    assert torch.allclose(found[0], found[4]) and found[4].argmax().item() in (4, 5)
    # The central difference of the smoothed step next to it: half the two middle weights of the Gaussian.
    line = torch.exp(-0.5 * torch.arange(-2.0, 3.0).square())
    line = line / line.sum()
    assert found[4, 4].item() == pytest.approx((line[2] + line[3]).item() / 2 / 2**0.5, rel=1e-5)


def test_h12_balance_weighs_edges_by_the_share_of_the_others() -> None:
    masks = _masks()
    logits, share = torch.zeros(2, 1, 10, 10), edges_of(masks).float().mean().item()
    plain = implementation(EdgeLoss(weight=1.0, balanced=False))(logits, masks).item()
    balanced = implementation(EdgeLoss(weight=1.0))(logits, masks).item()
    assert plain == pytest.approx(0.693147, rel=1e-5)
    assert balanced == pytest.approx(0.693147 * 2 * share * (1 - share), rel=1e-5)


def test_h12_pixels_count_where_an_edge_is_predicted() -> None:
    masks, logits = _masks(), torch.zeros(2, 3, 10, 10)
    spec = DualTask(boundary=0.0, threshold=0.8)
    low, high = torch.full((2, 1, 10, 10), 1.0), torch.full((2, 1, 10, 10), 2.0)  # 0.73 and 0.88
    with Generators(0):
        assert implementation(spec)(logits, low, masks).item() == 0.0
        assert implementation(spec)(logits, high, masks).item() == pytest.approx(1.098612, rel=1e-5)


def test_pixels_without_a_class_have_no_part() -> None:
    masks = torch.full((1, 6, 6), IGNORE)
    logits = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    with Generators(0):
        assert implementation(DualTask())(logits, torch.full((1, 1, 6, 6), 9.0), masks).item() == 0.0
    assert implementation(EdgeLoss())(logits[:, :1], masks).item() == 0.0
