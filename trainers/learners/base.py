"""What the loop wants of a task."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from trainers.data.sampler import Sampler


class Learner(Protocol):
    """A network with the data that it learns from, on the trial's device."""

    network: nn.Module
    sampler: Sampler
    extra: nn.Module | None = None
    """What is trained beside the network and is no part of it, such as weights of losses."""

    def batch(self, rows: Tensor) -> Any:
        """Returns the batch of these training rows, augmented.

        Args:
            rows: (N,) row numbers from the sampler.
        """

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the scalar loss of a batch, and scalars by name whose means become `train/NAME`."""

    def constrain(self) -> None:
        """Puts weights of the network back to where a trick of the recipe keeps them; called after every step."""
        return None

    def evaluate(self) -> dict[str, float]:
        """Returns the validation figures, `val/NAME`."""

    def state_dict(self) -> dict[str, Any]:
        """Returns what changes in it as training goes on, network and sampler apart."""
        return {} if self.extra is None else {"extra": self.extra.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts it back."""
        if self.extra is not None and "extra" in state:
            self.extra.load_state_dict(state["extra"])
