"""The learning rate as a function of the step: nothing to save but the step itself."""

from __future__ import annotations

import math
from collections.abc import Callable

from search_spaces.recipe import Constant, Cosine, GradualWarmup, Recipe
from trainers.tricks.registry import implementation, implements


@implements(Constant)
def constant(spec: Constant, share: float) -> float:
    """Returns 1."""
    return 1.0


@implements(Cosine)
def cosine(spec: Cosine, share: float) -> float:
    """Returns the cosine's factor.

    Args:
        spec: Where it ends.
        share: Of the steps taken, in [0, 1].

    Paper: Loshchilov and Hutter, 2017, 1608.03983, equation 5.
    """
    return spec.final + (1 - spec.final) * 0.5 * (1 + math.cos(math.pi * share))


@implements(GradualWarmup)
def gradual_warmup(spec: GradualWarmup, epoch: float) -> float | None:
    """Returns the line's factor, None once it has reached 1.

    Args:
        spec: Where it starts and how long it takes.
        epoch: Epochs taken.

    Paper: Goyal et al., 2017, 1706.02677, section 2.2.
    """
    return None if epoch >= spec.epochs else spec.start + (1 - spec.start) * epoch / spec.epochs


def rate_factor(recipe: Recipe, steps: int, steps_per_epoch: int) -> Callable[[int], float]:
    """Returns the factor on the optimizer's rate as a function of the steps already taken.

    Args:
        recipe: Holds schedule and warmup.
        steps: Of the whole training.
        steps_per_epoch: Turns steps into epochs.
    """
    schedule = implementation(recipe.schedule)
    warmup = (lambda epoch: None) if recipe.warmup is None else implementation(recipe.warmup)
    start = next((step for step in range(steps) if warmup(step / steps_per_epoch) is None), steps)

    def factor(step: int) -> float:
        warm: float | None = warmup(step / steps_per_epoch)
        cold: float = schedule((step - start) / max(1, steps - start)) if warm is None else warm
        return cold

    return factor
