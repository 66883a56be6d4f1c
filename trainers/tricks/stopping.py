"""Early stopping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces.recipe import EarlyStopping
from trainers.tricks.registry import implements

_FALLING = ("loss", "perplexity", "error", "bits")


def signed(metrics: Mapping[str, float], metric: str, trick: str) -> float:
    """Returns a metric with the sign that makes more of it better.

    Args:
        metrics: Those of a report.
        metric: Name of the one that is wanted.
        trick: Field of the recipe that wants it.

    Raises:
        ValueError: It is not among them.
    """
    if metric not in metrics:
        raise ValueError(f"{trick} watches {metric!r}; this task reports {', '.join(sorted(metrics))}")
    falling = any(word in metric.rsplit("/", 1)[-1] for word in _FALLING)
    return -metrics[metric] if falling else metrics[metric]


@implements(EarlyStopping)
class Patience:
    """Counts reports since the last improvement."""

    def __init__(self, spec: EarlyStopping) -> None:
        self.spec = spec
        self.best: float | None = None
        self.waited = 0

    def update(self, metrics: Mapping[str, float]) -> bool:
        """Returns whether to stop, after one more report.

        Args:
            metrics: The report's, with the metric that is watched.

        Raises:
            ValueError: It is not among them.
        """
        value = signed(metrics, self.spec.metric, "early_stopping")
        if self.best is None or value > self.best + self.spec.min_delta:
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        return self.waited >= self.spec.patience

    def state_dict(self) -> dict[str, Any]:
        """Returns the counters."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts the counters back."""
        self.best, self.waited = state["best"], state["waited"]
