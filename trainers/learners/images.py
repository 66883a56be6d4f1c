"""Images as learners read them: some rows of a set, normalised, read in place where a copy would be large."""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SMALL = 2**26  # bytes that a trial may spend on a normalised copy of its images


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


class Pixels:
    """Some rows of an image set, normalised as they are read; few of them are normalised beforehand.

    Args:
        data: The whole set.
        rows: (N,) rows of it, from 0 to N - 1 here.
        device: Where the images are wanted.
        channels_last: Their layout in memory.
    """

    def __init__(self, data: ImageArrays, rows: NDArray[np.int64], device: str, channels_last: bool) -> None:
        self.device = device
        self._count = len(rows)
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        scale = torch.from_numpy(1 / data.std).to(device).view(1, -1, 1, 1)
        offset = torch.from_numpy(-data.mean / data.std).to(device).view(1, -1, 1, 1)
        self._normalise: tuple[Tensor, Tensor] | None = (scale, offset)
        self._rows: Tensor | None = None
        if torch.device(device).type == "cpu" and len(rows) * data.images[0].size * 4 > _SMALL:
            # The set may be shared between processes, so it is read in place.
            self._source, self._rows = shared(data.images), torch.from_numpy(rows)
            return
        self._source = torch.from_numpy(data.images[rows]).to(device)
        if self._source.numel() * 4 <= _SMALL:
            self._source = self._read(self._source)
            self._normalise = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Returns the (n, C, H, W) normalised images of n rows."""
        return self._read(self._source.index_select(0, rows if self._rows is None else self._rows[rows]))

    def _read(self, images: Tensor) -> Tensor:
        if self._normalise is not None:
            scale, offset = self._normalise
            images = torch.addcmul(offset, images.float(), scale)
        return images.contiguous(memory_format=self._format)


def shared(array: NDArray[Any]) -> Tensor:
    """Returns a tensor with the memory of an array, which nobody may write to."""
    with warnings.catch_warnings():
        # An object store hands out read-only arrays; nothing writes to this tensor.
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(array)
