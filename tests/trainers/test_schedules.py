import pytest

from search_spaces.recipe import Constant, Cosine, GradualWarmup, Recipe
from trainers.schedules import rate_factor


def _rates(recipe: Recipe, steps: int, per_epoch: int, rate: float) -> list[float]:
    factor = rate_factor(recipe, steps, per_epoch)
    return [rate * factor(step) for step in range(steps)]


def test_the_cosine_of_the_paper() -> None:
    rates = _rates(Recipe(warmup=None), 10, 1, 0.1)
    assert rates[:6] == pytest.approx([0.1, 0.097553, 0.090451, 0.079389, 0.065451, 0.05], abs=1e-6)
    assert rate_factor(Recipe(warmup=None), 10, 1)(10) == pytest.approx(0, abs=1e-12)


def test_the_cosine_ends_where_it_is_told_to() -> None:
    assert rate_factor(Recipe(schedule=Cosine(final=0.2), warmup=None), 10, 1)(10) == pytest.approx(0.2)


def test_gradual_warmup_then_cosine() -> None:
    # Base rate 0.1, multiplied by 8 over 5 epochs.
    recipe = Recipe(warmup=GradualWarmup(epochs=5, start=1 / 8))
    rates = _rates(recipe, 15, 1, 0.8)
    assert rates[:7] == pytest.approx([0.1, 0.24, 0.38, 0.52, 0.66, 0.8, 0.780423], abs=1e-6)
    assert len(rates) == 15


def test_warmup_counts_epochs_in_steps() -> None:
    factor = rate_factor(Recipe(schedule=Constant(), warmup=GradualWarmup(epochs=0.5, start=0.0)), 100, 10)
    assert [factor(step) for step in range(7)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1])


@pytest.mark.parametrize("epochs", [0.0, 3.0, 50.0])
def test_factors_stay_between_0_and_1(epochs: float) -> None:
    factor = rate_factor(Recipe(warmup=GradualWarmup(epochs=epochs)), 30, 10)
    assert all(0 <= factor(step) <= 1 for step in range(30))
    assert factor(0) == (1.0 if epochs == 0 else 0.1)
