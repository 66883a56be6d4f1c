"""Images with one label each: the base of the specs that load them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.data.base import Data, DataError, Decoded, ImageSet
from trainers.data.splits import Part

Whole = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images and labels of a file of which every row could be read."""


class ClassificationData(Data):
    """Data that have a class for every image."""

    def load(self) -> ImageSet:
        """Reads and decodes everything, once.

        Raises:
            DataError: A file is missing or cannot be used; its path names file and row.
        """
        raise NotImplementedError

    def image_set(
        self, train: Decoded | Whole, test: Decoded | Whole | None, classes: tuple[str, ...], source: str
    ) -> ImageSet:
        """Splits decoded images and measures the training part.

        The part of a row depends on its place in its file, so that rows that were left out move no other.

        Args:
            train: (N, C, H, W) images and (N,) labels to split.
            test: Those of a test file, whole; None: the test part is cut from `train`.
            classes: Names of the classes.
            source: File or folder, for errors.

        Raises:
            DataError: A part is empty, or a label has no class.
        """
        files = [_decoded(file) for file in (train, test) if file is not None]
        rows = {part: file.count for part, file in zip((Part.TRAIN, Part.TEST), files, strict=False)}
        kept = np.concatenate([start + file.rows for start, file in zip((0, files[0].count), files, strict=False)])
        parts = self.parts(rows)[kept]
        images, labels = _joined(files, 0), _joined(files, 1)
        for row in np.flatnonzero((labels < 0) | (labels >= len(classes))):
            class_index(labels[row], len(classes), f"{source} row {kept[row]}")
        mean, std = self.measure(images, parts, source)
        skipped = sum(file.skipped for file in files)
        reasons = tuple(reason for file in files for reason in file.reasons)
        return ImageSet(images, labels, parts, mean, std, classes, skipped, reasons)


def class_index(label: int | np.integer, classes: int, name: str) -> NDArray[np.int64]:
    """Returns a label as a 0-dimensional array.

    Args:
        label: Index of a class.
        classes: Their number.
        name: What to call its row in errors.

    Raises:
        DataError: There is no such class.
    """
    if not 0 <= label < classes:
        raise DataError("no class for this label", int(label), f"0 to {classes - 1}", name)
    return np.array(label, dtype=np.int64)


def _decoded(file: Decoded | Whole) -> Decoded:
    return file if isinstance(file, Decoded) else Decoded.whole(*file)


def _joined(files: list[Decoded], column: int) -> NDArray[Any]:
    """One array of all files, which is not copied where there is one file."""
    arrays = [file.arrays[column] for file in files]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
