"""Windows of a text, read as streams that go on from one batch to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainers.data.sampler import Sampler

if TYPE_CHECKING:
    import torch


class Streams(Sampler):
    """Where the windows of each batch begin: the text is cut into streams, and each batch goes on where they were.

    A window has one token more than the network reads, which is predicted last. What is left over, less than a batch
    of windows, stands before and behind the streams; where it is cut is a function of (seed, epoch).

    Args:
        tokens: Length of the text, at least 2.
        batch_size: Streams, cut to what the text gives.
        window: Tokens read at once, cut likewise.
        seed: At least 0.
        device: Where positions are put.
    """

    def __init__(self, tokens: int, batch_size: int, window: int, seed: int, device: str = "cpu") -> None:
        streams = min(batch_size, tokens - 1)
        self.window = min(window, (tokens - 1) // streams)
        self._windows = (tokens - 1) // (streams * self.window)
        self._slack = tokens - 1 - self._windows * streams * self.window
        super().__init__(np.arange(self._windows * streams), streams, seed, device)

    @property
    def fresh(self) -> bool:
        """Whether the last batch was the first of its epoch, so that nothing comes before it."""
        return self.index == self.batch_size

    def _shuffled(self) -> torch.Tensor:
        """Returns the first token of every window, batch by batch; nothing is shuffled."""
        import torch

        first = np.random.default_rng([self.seed, self.epoch]).integers(self._slack + 1)
        begins = first + np.arange(self.batch_size) * self._windows * self.window
        order = np.arange(self._windows)[:, None] * self.window + begins
        return torch.from_numpy(order.reshape(-1)).to(self.device)
