"""Images with masks or boxes: what is loaded, and the bases of the specs that load it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainers.data.base import Data, fingerprint
from trainers.data.splits import Part

IGNORE = 255
"""The mask value of pixels that neither train nor count."""
PADDED = -1
"""The label of places in a padded row of boxes that hold no object."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Images as plain arrays, which an object store shares without copies.

    Args:
        images: (N, C, H, W) uint8.
        parts: (N,) uint8, values of `Part`.
        mean: (C,) float32, of the training part on the scale 0 to 255.
        std: (C,) float32, likewise.
        classes: Names, in the order of the labels.
        skipped: Broken images and annotations that were left out.
        reasons: What is wrong with the first of them, by file and row.
    """

    images: NDArray[np.uint8]
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

    def rows(self, part: Part) -> NDArray[np.int64]:
        """Returns the row numbers of one part."""
        return np.flatnonzero(self.parts == part)


@dataclass(frozen=True, kw_only=True)
class SegmentationSet(Pictures):
    """Images with a class for every pixel.

    Args:
        masks: (N, H, W) uint8, indexes of `classes`, or `IGNORE`.
    """

    masks: NDArray[np.uint8]

    def fingerprint(self) -> str:
        """Returns a hash of shapes, classes, parts and an even sample of the images and masks."""
        return fingerprint((self.images.shape, self.classes), (self.images, self.masks), (self.parts,))


@dataclass(frozen=True, kw_only=True)
class DetectionSet(Pictures):
    """Images with boxes, padded to the largest number M in an image, so that a batch is one selection of rows.

    Args:
        boxes: (N, M, 4) float32, the left, top, right and bottom edge in pixels: a box around the one pixel at row i,
            column j is (j, i, j + 1, i + 1). Padding is 0.
        labels: (N, M) int64, indexes of `classes`; the objects of an image come first, then `PADDED`.
        difficult: (N, M) bool, objects that the format marks as hard to tell, which do not count.
        crowd: (N, M) bool, boxes around groups of objects, which do not count.
        instances: (N, H, W) uint8, 1 + place of the object that a pixel shows, or 0; None: the data have no masks.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    difficult: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    instances: NDArray[np.uint8] | None = None

    @property
    def counts(self) -> NDArray[np.int64]:
        """(N,) objects an image."""
        counts: NDArray[np.int64] = np.count_nonzero(self.labels != PADDED, axis=1)
        return counts

    def fingerprint(self) -> str:
        """Returns a hash of shapes, classes, parts, all objects and an even sample of the images."""
        objects = (self.boxes, self.labels, self.difficult, self.crowd)
        return fingerprint((self.images.shape, self.classes), (self.images,), (self.parts, *objects))


class SegmentationData(Data):
    """Data that have a mask for every image."""

    def load(self) -> Pictures:
        """Reads and decodes everything, once."""
        return self.load_masks()

    def load_masks(self) -> SegmentationSet:
        """Reads and decodes images and masks, once.

        Raises:
            DataError: A file is missing or cannot be used; its path names file and row.
        """
        raise NotImplementedError


class DetectionData(Data):
    """Data that have boxes for every image."""

    def load(self) -> Pictures:
        """Reads and decodes everything, once."""
        return self.load_boxes()

    def load_boxes(self) -> DetectionSet:
        """Reads and decodes images and boxes, once.

        Raises:
            DataError: A file is missing or cannot be used; its path names file and row.
        """
        raise NotImplementedError
