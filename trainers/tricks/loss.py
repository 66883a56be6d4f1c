"""Targets and losses of classification."""

from __future__ import annotations

from torch import Tensor

from search_spaces.recipe import LabelSmoothing
from trainers.tricks.registry import implements


@implements(LabelSmoothing)
def smooth(spec: LabelSmoothing, targets: Tensor) -> Tensor:
    """Moves some of every target's weight to other classes.

    Args:
        spec: How much, and to which.
        targets: (N, K) probabilities.

    Raises:
        ValueError: There is one class alone.

    Paper: Szegedy et al., 2016, 1512.00567, section 7; `others`: He et al., 2018, 1812.01187, equation 4.
    """
    classes = targets.shape[1]
    if classes < 2:
        raise ValueError(f"label smoothing needs two classes; got {classes}; set label_smoothing to null")
    spread = spec.epsilon / classes if spec.variant == "uniform" else spec.epsilon / (classes - 1)
    right = 1 - spec.epsilon + (spread if spec.variant == "uniform" else 0.0)
    return targets * (right - spread) + spread
