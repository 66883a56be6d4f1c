import pytest
import torch

from trainers.adabound import AdaBoundOptimizer, bounds


@pytest.mark.parametrize(("step", "low", "high"), [(1000, 0.05, 0.2), (10**6, 0.0999, 0.1001)])
def test_k06_bounds_close_in_on_the_final_rate(step: int, low: float, high: float) -> None:
    assert bounds(step, 0.1, 1e-3) == pytest.approx((low, high), rel=1e-4)


def _walk(steps: int, **settings: float) -> list[float]:
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = AdaBoundOptimizer([weight], **settings)  # type: ignore[arg-type]
    values = []
    for _ in range(steps):
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step()
        values.append(weight.item())
    return values


def test_k06_three_steps_on_a_square() -> None:
    assert _walk(3)[-1] == pytest.approx(0.9970, abs=5e-5)
    assert _walk(3, amsbound=True)[-1] == pytest.approx(0.9970, abs=5e-5)


def test_k06_a_huge_gamma_is_the_final_rate() -> None:
    found = _walk(1, gamma=1e9, final_lr=0.1, betas=(0.0, 0.999))  # type: ignore[arg-type]
    assert found == pytest.approx([1 - 0.1 * 2.0], rel=1e-5)


def test_k06_it_is_pytorch_optimizers() -> None:
    theirs = pytest.importorskip("pytorch_optimizer", reason="pytorch_optimizer is not installed")
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = theirs.AdaBound([weight])
    for _ in range(3):
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step()
    assert _walk(3)[-1] == pytest.approx(weight.item(), rel=1e-6)


def test_a_schedule_scales_the_final_rate_along() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = AdaBoundOptimizer([weight], gamma=1e9, betas=(0.0, 0.999))
    optimizer.param_groups[0]["lr"] *= 0.5
    weight.square().sum().backward()
    optimizer.step()
    assert weight.item() == pytest.approx(1 - 0.05 * 2.0, rel=1e-5)


def test_the_largest_second_moment_is_kept() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = AdaBoundOptimizer([weight], amsbound=True)
    for gradient in (3.0, 0.0):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
    state = optimizer.state[weight]
    assert state["largest"].item() == pytest.approx(9e-3, rel=1e-5) and state["square"].item() < 9e-3
