"""What every data set is: a spec that is read once into plain arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from search_spaces.errors import SpecError
from search_spaces.spec import Spec
from trainers.data.splits import Part, split

_SAMPLE = 256
_MEASURED = 256  # images at once
Share = Annotated[float, Field(ge=0, lt=1)]
OnError = Literal["refuse", "skip"]
"""What becomes of a row with a broken image or annotation."""


class DataError(SpecError):
    """Data that cannot be used; its path names file and row."""


@dataclass(frozen=True)
class Decoded:
    """The rows of a file that could be read, as arrays.

    Args:
        arrays: (n, ...) each, a row an image.
        rows: (n,) the places of these rows in the file, ascending.
        count: Rows of the file.
        reasons: What is wrong with the first rows that were left out, by file and row.
        unread: Rows of the file that a limit left out.
    """

    arrays: tuple[NDArray[Any], ...]
    rows: NDArray[np.int64]
    count: int
    reasons: tuple[str, ...] = ()
    unread: int = 0

    @classmethod
    def whole(cls, *arrays: NDArray[Any]) -> Decoded:
        """Returns a file of which every row could be read."""
        return cls(arrays, np.arange(len(arrays[0])), len(arrays[0]))

    @property
    def skipped(self) -> int:
        """Rows that could not be read."""
        return self.count - self.unread - len(self.rows)


@dataclass(frozen=True)
class ImageSet:
    """Labelled images as plain arrays, which an object store shares without copies.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,) int64.
        parts: (N,) uint8, values of `Part`.
        mean: (C,) float32, of the training part on the scale 0 to 255.
        std: (C,) float32, likewise.
        classes: Names, in the order of the labels.
        skipped: Broken images and labels that were left out.
        reasons: What is wrong with the first of them, by file and row.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    parts: NDArray[np.uint8]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    classes: tuple[str, ...]
    skipped: int = 0
    reasons: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def part(self, part: Part) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Returns the images and labels of one part, copied."""
        rows = np.flatnonzero(self.parts == part)
        return self.images[rows], self.labels[rows]

    def fingerprint(self) -> str:
        """Returns a hash of rows, shapes, classes, parts and an even sample of the images."""
        header = (self.images.shape, self.classes)
        return fingerprint(header, sampled=(self.images,), whole=(self.labels, self.parts))


class Data(Spec):
    """Where data comes from and how it is split.

    `val` and `test` are shares of the rows; neither is used where the data has a file of its own for that part.
    """

    home: ClassVar[str | None] = "trainers.data"
    val: Share = 0.1
    test: Share = 0.1
    split_seed: int = 0

    def check(self) -> None:
        """Checks that something is left for training."""
        if self.val + self.test >= 1:
            raise ValueError(f"val + test must stay below 1; got {self.val} + {self.test}")

    def load(self) -> Any:
        """Reads and decodes everything, once.

        Returns:
            A plain dataclass of arrays, an `ImageSet` for images.

        Raises:
            DataError: A file is missing or cannot be used; its path names file and row.
        """
        raise NotImplementedError

    def parts(self, rows: Mapping[Part, int]) -> NDArray[np.uint8]:
        """Returns the part of every row of files that stand one after the other, the training file first.

        Args:
            rows: Rows of the training file, of which parts without a file are cut, and of those that have one.
        """
        val, test = 0.0 if Part.VAL in rows else self.val, 0.0 if Part.TEST in rows else self.test
        own = [np.full(rows[part], part, dtype=np.uint8) for part in (Part.VAL, Part.TEST) if part in rows]
        return np.concatenate([split(rows[Part.TRAIN], val, test, self.split_seed), *own])

    def measure(
        self, images: NDArray[np.uint8], parts: NDArray[np.uint8], source: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns mean and standard deviation a channel of the training part, from sums in whole numbers.

        Args:
            images: (N, C, H, W).
            parts: (N,) values of `Part`.
            source: File or folder, for errors.

        Raises:
            DataError: A part is empty.
        """
        for part in Part:
            if not (parts == part).any():
                shares = f"val={self.val}, test={self.test} of {len(parts)} rows"
                raise DataError(f"the {part.name.lower()} part is empty", shares, "larger shares, or more rows", source)
        rows = np.flatnonzero(parts == Part.TRAIN)
        sums = np.zeros((2, images.shape[1]), dtype=np.uint64)
        for start in range(0, len(rows), _MEASURED):
            block = images[rows[start : start + _MEASURED]].astype(np.uint16)
            sums[0] += block.sum((0, 2, 3), dtype=np.uint64)
            np.multiply(block, block, out=block)  # 255 squared still fits
            sums[1] += block.sum((0, 2, 3), dtype=np.uint64)
        count = len(rows) * images[0, 0].size
        moments = [(total / count, (count * squares - total**2) / count**2) for total, squares in sums.T.tolist()]
        mean, variance = np.array(moments, dtype=np.float64).T
        return mean.astype(np.float32), np.maximum(np.sqrt(variance).astype(np.float32), 1e-3)


def left_out(data: Any) -> str | None:
    """Returns how many rows of an opened set were skipped and what is wrong with the first; None where none were."""
    if not (count := getattr(data, "skipped", 0)):
        return None
    shown = " | ".join(data.reasons) + (" | ..." if count > len(data.reasons) else "")
    return f"{count} {'row' if count == 1 else 'rows'} skipped: {shown}"


def fingerprint(header: object, sampled: Sequence[NDArray[Any]], whole: Sequence[NDArray[Any]]) -> str:
    """Returns a hash of `header`, of evenly spread rows of some arrays and of all of others.

    Args:
        header: Shapes, names and the like; its `repr` is hashed.
        sampled: Arrays with the same number of rows.
        whole: Further arrays.
    """
    digest = hashlib.sha256(repr(header).encode())
    for array in sampled:
        rows = np.unique(np.linspace(0, len(array) - 1, _SAMPLE).astype(np.int64))
        digest.update(np.ascontiguousarray(array[rows]).tobytes())
    for array in whole:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
