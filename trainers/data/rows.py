"""Rows of files that hold images with masks or boxes: checked, decoded, fitted to one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainers.data.base import DataError
from trainers.data.decode import Arrays, opened, size_text
from trainers.data.pictures import IGNORE, PADDED

if TYPE_CHECKING:
    from PIL.Image import Image

Size = tuple[int, int]
GREY = 114
"""What an image of another shape is padded with, per channel."""
_INDEXED = ("L", "P", "1", "I", "I;16")


@dataclass(frozen=True)
class Objects:
    """The objects of one image, in its own pixels.

    Args:
        boxes: (n, 4) float32, left, top, right and bottom edge.
        labels: (n,) int64.
        difficult: (n,) bool.
        crowd: (n,) bool.
        size: (H, W) that the annotation says the image has; None: it does not say.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    difficult: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    size: Size | None = None


@dataclass(frozen=True)
class Row:
    """An image and what is known of it.

    Args:
        name: What to call it in errors.
        image: Encoded bytes, or a path.
        target: An encoded mask or its path, the objects, or why they cannot be had.
    """

    name: str
    image: bytes | str
    target: bytes | str | Objects | DataError


def objects(
    boxes: Sequence[Any],
    labels: Sequence[Any],
    name: str,
    difficult: Sequence[bool] = (),
    crowd: Sequence[bool] = (),
    size: Size | None = None,
) -> Objects:
    """Returns the objects of an image from lists of numbers.

    Args:
        boxes: 4 numbers an object, as in `Objects`.
        labels: One an object.
        name: What to call the image in errors.
        difficult: One an object, or none.
        crowd: One an object, or none.
        size: (H, W) of the image, if known.

    Raises:
        DataError: They are no numbers, or not one label a box.
    """
    try:
        table = np.asarray(boxes if len(boxes) else np.zeros((0, 4)), dtype=np.float32)
        found = np.asarray(labels, dtype=np.int64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise DataError("boxes and labels must be numbers", str(error), "4 numbers and a label a box", name) from error
    if table.shape != (len(found), 4):
        got = f"boxes {table.shape} for {len(found)} labels"
        raise DataError("every box needs 4 numbers and a label", got, f"({len(found)}, 4)", name)
    hard, many = (np.array(flags or [False] * len(found), dtype=np.bool_) for flags in (difficult, crowd))
    return Objects(table, found, hard, many, size)


def read_mask(row: Row, classes: int, size: Size | None, ignore: int) -> Arrays:
    """Returns the (3, H, W) image and (H, W) mask of a row; the mask is fitted to `size` without interpolation.

    Args:
        row: With a mask.
        classes: Their number.
        size: See `fit`.
        ignore: Value in the file that becomes `IGNORE`.

    Raises:
        DataError: Either cannot be read, their sizes differ, or a pixel has no class.
    """
    image = _image(row)
    with opened(_target(row), row.name) as file:
        if file.mode not in _INDEXED:
            raise DataError("a mask must hold class indexes", f"mode {file.mode}", "8-bit grey or palette", row.name)
        # A palette image is read as its indexes, not as its colours.
        mask = np.array(file)
    if mask.shape != (image.height, image.width):
        got, allowed = size_text(mask.shape), f"{size_text((image.height, image.width))} (height x width)"
        raise DataError("a mask must have the size of its image", got, allowed, row.name)
    bad = (mask != ignore) & ((mask < 0) | (mask >= classes))
    if bad.any():
        y, x = np.argwhere(bad)[0]
        allowed = f"0 to {classes - 1}, or {ignore} to ignore"
        raise DataError("no class for this mask value", int(mask[y, x]), allowed, f"{row.name} pixel x={x} y={y}")
    mask = np.where(mask == ignore, IGNORE, mask).astype(np.uint8)
    return _channels_first(fit(image, size)), fit_mask(mask, size)


def read_boxes(row: Row, classes: int, size: Size | None) -> tuple[NDArray[np.uint8], Objects]:
    """Returns the (3, H, W) image of a row and its objects, both fitted to `size`.

    Boxes that stand out of the image are cut at its border.

    Args:
        row: With objects.
        classes: Their number.
        size: See `fit`.

    Raises:
        DataError: The image cannot be read, has not the size that the annotation says, a label has no class, or a box
            has no area inside the image.
    """
    target = _target(row)
    image = _image(row)
    shape = (image.height, image.width)
    if target.size not in (None, shape):
        allowed = f"{size_text(shape)} (height x width)"
        raise DataError("an annotation must have the size of its image", size_text(target.size), allowed, row.name)
    bad = np.flatnonzero((target.labels < 0) | (target.labels >= classes))
    if bad.size:
        where = f"{row.name} object {bad[0]}"
        raise DataError("no class for this label", int(target.labels[bad[0]]), f"0 to {classes - 1}", where)
    boxes = np.clip(target.boxes, 0, np.array(shape[::-1] * 2, dtype=np.float32))
    good = np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    if not good.all():
        place = int(np.flatnonzero(~good)[0])
        got, allowed = target.boxes[place].tolist(), f"x from 0 to {shape[1]}, y from 0 to {shape[0]}"
        raise DataError("a box must have an area inside its image", got, allowed, f"{row.name} object {place}")
    height, width = _fitted(shape, size)
    boxes *= np.array([width / shape[1], height / shape[0]] * 2, dtype=np.float32)
    kept = Objects(boxes, target.labels, target.difficult, target.crowd)
    return _channels_first(fit(image, size)), kept


def fit(image: Image, size: Size | None) -> NDArray[np.uint8]:
    """Scales an image so that it just fits into `size`, keeping its shape, and pads it on the right or below.

    Args:
        image: RGB.
        size: (H, W); None: nothing is done.

    Returns:
        (H, W, 3) pixels.
    """
    from PIL.Image import Resampling

    height, width = _fitted((image.height, image.width), size)
    if (height, width) != (image.height, image.width):
        image = image.resize((width, height), Resampling.BILINEAR)
    return _padded(np.asarray(image), size, GREY)


def fit_mask(mask: NDArray[np.uint8], size: Size | None) -> NDArray[np.uint8]:
    """Does to a mask what `fit` does to its image: each pixel takes its nearest one's class, padding is ignored.

    Args:
        mask: (H, W).
        size: (H, W) to fit into; None: nothing is done.
    """
    height, width = _fitted(mask.shape, size)
    if (height, width) == mask.shape:
        return _padded(mask, size, IGNORE)
    rows = ((np.arange(height) + 0.5) * (mask.shape[0] / height)).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * (mask.shape[1] / width)).astype(np.int64)
    return _padded(mask[rows][:, columns], size, IGNORE)


def pad_objects(found: Sequence[Objects]) -> dict[str, NDArray[Any]]:
    """Returns the arrays of a `DetectionSet`: boxes, labels, difficult, crowd, each (N, M, ...)."""
    places = max(1, max((len(item.labels) for item in found), default=0))
    arrays: dict[str, NDArray[Any]] = {
        "boxes": np.zeros((len(found), places, 4), dtype=np.float32),
        "labels": np.full((len(found), places), PADDED, dtype=np.int64),
        "difficult": np.zeros((len(found), places), dtype=np.bool_),
        "crowd": np.zeros((len(found), places), dtype=np.bool_),
    }
    for row, item in enumerate(found):
        for name, array in arrays.items():
            array[row, : len(item.labels)] = getattr(item, name)
    return arrays


def _target(row: Row) -> Any:
    if isinstance(row.target, DataError):
        raise row.target
    return row.target


def _image(row: Row) -> Image:
    with opened(row.image, row.name) as file:
        return file.convert("RGB")


def _fitted(shape: tuple[int, ...], size: Size | None) -> Size:
    """Height and width of an image of this shape within `size`."""
    if size is None:
        return shape[0], shape[1]
    scale = min(size[0] / shape[0], size[1] / shape[1])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _padded(pixels: NDArray[np.uint8], size: Size | None, value: int) -> NDArray[np.uint8]:
    if size is None or pixels.shape[:2] == size:
        return pixels
    canvas = np.full((*size, *pixels.shape[2:]), value, dtype=np.uint8)
    canvas[: pixels.shape[0], : pixels.shape[1]] = pixels
    return canvas


def _channels_first(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels.transpose(2, 0, 1)
