"""What specs of data in files have in common: which rows are read, what becomes of broken ones, sets from rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trainers.data.base import Data, DataError, Decoded, OnError
from trainers.data.decode import Arrays, decode_rows
from trainers.data.pictures import IGNORE, DetectionSet, SegmentationSet
from trainers.data.rows import Objects, Row, Size, pad_objects, read_boxes, read_mask
from trainers.data.splits import Part

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}
Side = Annotated[int, Field(ge=1)]
Rows = Mapping[Part, Sequence[Row]]
T = TypeVar("T")


class Files(Data):
    """Images in files, with masks or boxes.

    Rows of a validation file are the validation part, and rows of a test file the test part; a part without a file
    is cut from the training file by the keyed hash of the row number, which neither `limit` nor broken rows change.

    Attributes:
        path: File or folder.
        size: Height and width that every image is fitted into: scaled by one factor until it just fits, with its
            boxes, then padded on the right or below (images with grey, masks with pixels to ignore). One number is
            both. None: all images must have one size.
        limit: Rows read of each file, evenly spread over it, since files are often sorted.
        on_error: What becomes of a row with a broken image or annotation. One wrong box or pixel is enough to skip an
            image, since an object without its box would be trained as background.
    """

    path: str
    size: Side | tuple[Side, Side] | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    on_error: OnError = "refuse"

    def segmentation_set(self, files: Rows, classes: tuple[str, ...], ignore: int = IGNORE) -> SegmentationSet:
        """Reads rows with masks.

        Args:
            files: Rows of the training file, and of those that there are for other parts.
            classes: Their names.
            ignore: Mask value of pixels to ignore.

        Raises:
            DataError: A row cannot be used, or a part is empty.
        """
        if not 1 <= len(classes) <= IGNORE:
            raise DataError("masks need class names", len(classes), f"1 to {IGNORE} names in `classes`", self.path)
        rows, parts = self._chosen(files)

        def read(row: int) -> Arrays:
            return read_mask(rows[row], len(classes), self._size, ignore)

        found = self._decoded(rows, read)
        images, masks = found.arrays
        parts = parts[found.rows]
        mean, std = self.measure(images, parts, self.path)
        return SegmentationSet(
            images=images,
            masks=masks,
            parts=parts,
            mean=mean,
            std=std,
            classes=classes,
            skipped=found.skipped,
            reasons=found.reasons,
        )

    def detection_set(self, files: Rows, classes: tuple[str, ...]) -> DetectionSet:
        """Reads rows with boxes.

        Args:
            files: Rows of the training file, and of those that there are for other parts.
            classes: Their names.

        Raises:
            DataError: A row cannot be used, or a part is empty.
        """
        if not classes:
            raise DataError("boxes need class names", 0, "at least one class", self.path)
        rows, parts = self._chosen(files)
        objects: dict[int, Objects] = {}

        def read(row: int) -> Arrays:
            image, objects[row] = read_boxes(rows[row], len(classes), self._size)
            return (image,)

        found = self._decoded(rows, read)
        (images,) = found.arrays
        parts = parts[found.rows]
        mean, std = self.measure(images, parts, self.path)
        return DetectionSet(
            images=images,
            parts=parts,
            mean=mean,
            std=std,
            classes=classes,
            skipped=found.skipped,
            reasons=found.reasons,
            **pad_objects([objects[row] for row in found.rows.tolist()]),
        )

    @property
    def _size(self) -> Size | None:
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def _chosen(self, files: Rows) -> tuple[list[Row], NDArray[np.uint8]]:
        """The rows to read, the training file's first, and their parts."""
        return limited(files, self.parts({part: len(rows) for part, rows in files.items()}), self.limit)

    def _decoded(self, rows: list[Row], read: Callable[[int], Arrays]) -> Decoded:
        if not rows:
            raise DataError("no data here", "no rows", "at least one image", self.path)
        skip, way_out = self.on_error == "skip", ", or a `size` to fit all to"
        return decode_rows(len(rows), read, lambda row: rows[row].name, skip, way_out)


def limited(
    files: Mapping[Part, Sequence[T]], parts: NDArray[np.uint8], limit: int | None
) -> tuple[list[T], NDArray[np.uint8]]:
    """Returns the rows to read, and the part of each, which is the one that it has without a limit.

    Args:
        files: Rows of the training file, and of those that there are for other parts.
        parts: The part of every row of these, the training file first.
        limit: Rows read of each file, evenly spread over it.
    """
    ordered = [files[part] for part in Part if part in files]
    starts = np.cumsum([0, *map(len, ordered)])
    chosen = np.concatenate([start + spread(len(rows), limit) for start, rows in zip(starts, ordered, strict=False)])
    everything = [row for rows in ordered for row in rows]
    return [everything[row] for row in chosen.tolist()], parts[chosen]


def spread(rows: int, limit: int | None) -> NDArray[np.int64]:
    """Returns at most `limit` row numbers, evenly spread from the first to the last."""
    if limit is None or limit >= rows:
        return np.arange(rows)
    return np.unique(np.linspace(0, rows - 1, limit).astype(np.int64))


def places(folder: str, *patterns: str) -> Iterator[tuple[Part, list[Path]]]:
    """Yields the parts that have files of their own, with these.

    The training part always has; another part has when the first pattern names the part and its place exists.

    Args:
        folder: What the patterns are relative to.
        patterns: Paths in which `{part}` stands for train, val or test.

    Raises:
        DataError: A place for the training part, or a further place for another one, does not exist.
    """
    for part in Part:
        found = [Path(folder) / pattern.replace("{part}", part.name.lower()) for pattern in patterns]
        if part != Part.TRAIN and ("{part}" not in patterns[0] or not found[0].exists()):
            continue
        for place in found:
            if not place.exists():
                raise DataError("no data here", allowed="a file or folder that exists", path=str(place))
        yield part, found


def by_stem(folder: Path) -> dict[str, Path]:
    """Returns the image files below a folder by their path in it without suffix, sorted.

    Raises:
        DataError: Two files differ in their suffix only.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            stem = str(path.relative_to(folder).with_suffix(""))
            if (other := found.setdefault(stem, path)) is not path:
                raise DataError("two images have one name", path.name, f"one of it and {other.name}", str(folder))
    return found
