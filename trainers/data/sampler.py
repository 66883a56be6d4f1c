"""The order of training rows, with a position that is saved and restored exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Arrange = Callable[[np.random.Generator, int], NDArray[np.int64]]


class Sampler:
    """Batches of row numbers; each epoch's order is a function of (seed, epoch), so its position is two numbers.

    Every batch is full, which batch norm needs; the rows that an epoch leaves over differ from epoch to epoch.

    Args:
        rows: (N,) the training rows.
        batch_size: Rows a batch, cut to their number.
        seed: At least 0.
        device: Where row numbers are put.
        arrange: (generator, epoch) -> the (N,) places in `rows` to take in that epoch; None: a permutation of all.
    """

    def __init__(
        self,
        rows: NDArray[np.int64],
        batch_size: int,
        seed: int,
        device: str = "cpu",
        arrange: Arrange | None = None,
    ) -> None:
        self.rows = rows
        self.batch_size = min(batch_size, len(rows))
        self.batches_per_epoch = len(rows) // self.batch_size
        self.seed = seed
        self.device = device
        self.epoch = 0
        self.index = 0
        self.length: int | None = None
        """Batches of the whole training, once they are known."""
        self._arrange = arrange
        self._order: torch.Tensor | None = None

    @property
    def step(self) -> int:
        """Batches that were taken."""
        return self.epoch * self.batches_per_epoch + self.index // self.batch_size

    @property
    def progress(self) -> float:
        """Share of training that the last batch taken comes after, in [0, 1); 0 while the length is unknown."""
        return 0.0 if self.length is None else min(max(self.step - 1, 0) / self.length, 1.0)

    def next(self) -> torch.Tensor:
        """Returns the (batch_size,) row numbers of the next batch."""
        if self.index + self.batch_size > len(self.rows):
            self.epoch, self.index, self._order = self.epoch + 1, 0, None
        if self._order is None:
            self._order = self._shuffled()
        batch = self._order[self.index : self.index + self.batch_size]
        self.index += self.batch_size
        return batch

    def state_dict(self) -> dict[str, int]:
        """Returns the position."""
        return {"epoch": self.epoch, "index": self.index}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes to a position, which another batch size may have left."""
        self.epoch, self.index, self._order = state["epoch"], state["index"], None

    def _shuffled(self) -> torch.Tensor:
        import torch

        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.rows) if self._arrange is None else self.rows[self._arrange(rng, self.epoch)]
        return torch.from_numpy(order).to(self.device)
