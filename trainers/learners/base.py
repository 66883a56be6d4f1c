"""What the loop wants of a task."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from trainers.data.sampler import Sampler


class Learner(Protocol):
    """A network with the data that it learns from, on the trial's device."""

    network: nn.Module
    sampler: Sampler

    def batch(self, rows: Tensor) -> Any:
        """Returns the batch of these training rows, augmented.

        Args:
            rows: (N,) row numbers from the sampler.
        """

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the scalar loss of a batch, and scalars by name whose means become `train/NAME`."""

    def evaluate(self) -> dict[str, float]:
        """Returns the validation figures, `val/NAME`."""
