import math
import warnings

import pytest
import torch

from search_spaces.recipe import (
    Constant,
    ConstantWarmup,
    Cosine,
    CosineRestarts,
    GradualWarmup,
    MultiStepDecay,
    Plateau,
    Recipe,
    StepDecay,
)
from trainers.schedules import rate_factor


def _rates(recipe: Recipe, steps: int, per_epoch: int, rate: float) -> list[float]:
    factor = rate_factor(recipe, steps, per_epoch)
    return [rate * factor(step) for step in range(steps)]


def test_k05_the_cosine_of_the_paper() -> None:
    rates = _rates(Recipe(warmup=None), 10, 1, 0.1)
    assert rates[:6] == pytest.approx([0.1, 0.097553, 0.090451, 0.079389, 0.065451, 0.05], abs=1e-6)
    assert rate_factor(Recipe(warmup=None), 10, 1)(10) == pytest.approx(0, abs=1e-12)


def test_the_cosine_ends_where_it_is_told_to() -> None:
    assert rate_factor(Recipe(schedule=Cosine(final=0.2), warmup=None), 10, 1)(10) == pytest.approx(0.2)


def test_k05_restarts_are_torchs() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(torch.optim.SGD([weight], lr=1.0), T_0=4, T_mult=2)
    expected = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(28):
            expected.append(theirs.get_last_lr()[0])
            theirs.step()
    found = _rates(Recipe(schedule=CosineRestarts(cycles=3, growth=2.0), warmup=None), 28, 1, 1.0)
    assert found == pytest.approx(expected, abs=1e-9)
    assert [step for step, rate in enumerate(found) if rate == 1.0] == [0, 4, 12]


def test_one_cycle_is_the_cosine() -> None:
    one = _rates(Recipe(schedule=CosineRestarts(cycles=1), warmup=None), 17, 1, 1.0)
    assert one == pytest.approx(_rates(Recipe(warmup=None), 17, 1, 1.0), abs=1e-12)


def test_k04_step_decay_is_a_table_of_powers() -> None:
    rates = _rates(Recipe(schedule=StepDecay(epochs=2, gamma=0.5), warmup=None), 20, 3, 0.8)
    assert rates == pytest.approx([0.8] * 6 + [0.4] * 6 + [0.2] * 6 + [0.1] * 2)


def test_k04_milestones_are_shares_of_what_follows_the_warmup() -> None:
    schedule = MultiStepDecay(milestones=(0.5, 0.75), gamma=0.1)
    recipe = Recipe(schedule=schedule, warmup=GradualWarmup(epochs=2, start=1.0))
    rates = _rates(recipe, 10, 1, 1.0)
    assert rates == pytest.approx([1.0] * 6 + [0.1] * 2 + [0.01] * 2)


def test_k02_gradual_warmup_then_cosine() -> None:
    # Base rate 0.1, multiplied by 8 over 5 epochs.
    recipe = Recipe(warmup=GradualWarmup(epochs=5, start=1 / 8))
    rates = _rates(recipe, 15, 1, 0.8)
    assert rates[:7] == pytest.approx([0.1, 0.24, 0.38, 0.52, 0.66, 0.8, 0.780423], abs=1e-6)
    assert len(rates) == 15


def test_warmup_counts_epochs_in_steps() -> None:
    factor = rate_factor(Recipe(schedule=Constant(), warmup=GradualWarmup(epochs=0.5, start=0.0)), 100, 10)
    assert [factor(step) for step in range(7)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1])


def test_k01_constant_warmup_ends_at_its_iteration() -> None:
    factor = rate_factor(Recipe(schedule=Constant(), warmup=ConstantWarmup(factor=0.1, iterations=7)), 100, 10)
    assert [factor(step) for step in (0, 6, 7, 99)] == [0.1, 0.1, 1.0, 1.0]


def test_k01_constant_warmup_ends_once_the_error_is_low() -> None:
    warmup = ConstantWarmup(factor=0.1, iterations=400, error=0.8)
    recipe = Recipe(schedule=MultiStepDecay(milestones=(0.5,)), warmup=warmup)
    factor = rate_factor(recipe, 50, 10)
    factor.update(10, {"train/accuracy": 0.15})
    assert (factor(9), factor(10)) == (0.1, 0.1)
    factor.update(20, {"train/accuracy": 0.25})
    # What is left, 30 steps, belongs to the schedule, and later errors change nothing.
    factor.update(30, {"train/accuracy": 0.1})
    assert [factor(step) for step in (19, 20, 34, 35)] == [0.1, 1.0, 1.0, 0.1]
    again = rate_factor(recipe, 50, 10)
    again.load_state_dict(factor.state_dict())
    assert [again(step) for step in range(50)] == [factor(step) for step in range(50)]


def test_an_error_that_a_task_does_not_report_is_refused() -> None:
    factor = rate_factor(Recipe(warmup=ConstantWarmup(error=0.5)), 50, 10)
    with pytest.raises(ValueError, match="warmup watches 'train/accuracy'; this task reports step, val/loss"):
        factor.update(10, {"val/loss": 1.0})


def test_k08_plateau_is_torchs() -> None:
    losses = [1.0, 0.9, 0.95, 0.91, 0.92, 0.8, 0.85, 0.9, 0.9, 0.9, 0.9, 0.9, 0.7, 0.7, 0.7, 0.7, 0.7]
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    # Torch drops when more than its patience have passed.
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, threshold_mode="abs")
    factor = rate_factor(Recipe(schedule=Plateau(gamma=0.5, patience=3), warmup=None), 200, 10)
    found, expected = [], []
    for i, loss in enumerate(losses, 1):
        theirs.step(loss)
        expected.append(optimizer.param_groups[0]["lr"])
        factor.update(10 * i, {"val/loss": loss})
        found.append(factor(10 * i))
    assert found == expected
    assert found[-1] == 0.5**4


def test_k08_it_drops_once_a_plateau_and_the_warmup_does_not_count() -> None:
    recipe = Recipe(schedule=Plateau(patience=2), warmup=GradualWarmup(epochs=3, start=0.1))
    factor = rate_factor(recipe, 100, 10)
    found = []
    for epoch in range(1, 8):
        factor.update(10 * epoch, {"val/loss": 1.0})
        found.append(factor(10 * epoch))
    # Epochs 1 to 3 are warmup; epoch 4 is the best so far, 5 and 6 do not improve on it.
    assert found == pytest.approx([0.4, 0.7, 1.0, 1.0, 1.0, 0.1, 0.1])


def test_k08_an_accuracy_is_to_rise() -> None:
    factor = rate_factor(Recipe(schedule=Plateau(metric="val/accuracy", patience=1), warmup=None), 100, 10)
    for i, value in enumerate((0.1, 0.2, 0.3), 1):
        factor.update(10 * i, {"val/accuracy": value})
    assert factor(30) == 1.0
    factor.update(40, {"val/accuracy": 0.3})
    assert factor(40) == pytest.approx(0.1)


def test_a_metric_that_a_task_does_not_report_is_refused() -> None:
    factor = rate_factor(Recipe(schedule=Plateau(metric="val/miou"), warmup=None), 100, 10)
    factor.update(10, {"val/loss": 1.0})
    with pytest.raises(ValueError, match="schedule watches 'val/miou'; this task reports"):
        factor(10)


@pytest.mark.parametrize(("rule", "expected"), [("linear", 0.4), ("sqrt", 0.2)])
def test_k03_the_rate_follows_the_batch(rule: str, expected: float) -> None:
    recipe = Recipe.from_data({"batch_size": 1024, "scaling": {"rule": rule}, "warmup": None})
    assert 0.1 * rate_factor(recipe, 10, 1)(0) == pytest.approx(expected)


@pytest.mark.parametrize("epochs", [0.0, 3.0, 50.0])
def test_factors_stay_between_0_and_1(epochs: float) -> None:
    factor = rate_factor(Recipe(warmup=GradualWarmup(epochs=epochs)), 30, 10)
    assert all(0 <= factor(step) <= 1 for step in range(30))
    assert factor(0) == (1.0 if epochs == 0 else 0.1)


def test_times_are_not_kept() -> None:
    factor = rate_factor(Recipe(), 30, 10)
    factor.update(10, {"val/loss": 1.0, "time/train": 3.0, "seconds": math.pi})
    assert factor.state_dict() == {"reports": [{"step": 10, "val/loss": 1.0}]}
