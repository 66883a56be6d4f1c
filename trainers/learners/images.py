"""Rows of data sets as learners read them: in place, so that the trials of a node share them; images normalised."""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class ImageArrays(Protocol):
    """What image sets of all tasks have in common."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """(N, C, H, W)."""

    @property
    def mean(self) -> NDArray[np.float32]:
        """(C,) on the scale 0 to 255."""

    @property
    def std(self) -> NDArray[np.float32]:
        """(C,) likewise."""


class Picked:
    """Some rows of an array: read in place on the CPU, where other trials may read them too; an accelerator holds them.

    Args:
        values: (M, ...), which nobody may write to.
        rows: (N,) rows of it, from 0 to N - 1 here.
        device: Where they are wanted.
    """

    def __init__(self, values: NDArray[Any], rows: NDArray[np.int64], device: str) -> None:
        self._count = len(rows)
        self._rows: Tensor | None = None
        if torch.device(device).type == "cpu":
            self._values, self._rows = shared(values), torch.from_numpy(rows)
        else:
            self._values = torch.from_numpy(values[rows]).to(device)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Returns a copy of n rows, (n, ...)."""
        return self._values.index_select(0, rows if self._rows is None else self._rows[rows])


class Pixels:
    """Some rows of an image set, normalised as they are read.

    Args:
        data: The whole set.
        rows: (N,) rows of it, from 0 to N - 1 here.
        device: Where the images are wanted.
        channels_last: Their layout in memory.
    """

    def __init__(self, data: ImageArrays, rows: NDArray[np.int64], device: str, channels_last: bool) -> None:
        self.device = device
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._scale = torch.from_numpy(1 / data.std).to(device).view(1, -1, 1, 1)
        self._offset = torch.from_numpy(-data.mean / data.std).to(device).view(1, -1, 1, 1)
        self._images = Picked(data.images, rows, device)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Returns the (n, C, H, W) normalised images of n rows."""
        images = self._images[rows].float()
        torch.addcmul(self._offset, images, self._scale, out=images)
        return images.contiguous(memory_format=self._format)


def shared(array: NDArray[Any]) -> Tensor:
    """Returns a tensor with the memory of an array, which nobody may write to."""
    with warnings.catch_warnings():
        # An object store hands out read-only arrays; nothing writes to this tensor.
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(array)
