"""Encoded images to arrays, in parallel; a broken one is named by file and row, and refused or left out."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainers.data.base import DataError, Decoded

if TYPE_CHECKING:
    from PIL.Image import Image

Arrays = tuple[NDArray[Any], ...]
_CHUNK = 16
_REASONS = 3


def decode_rows(
    count: int, read: Callable[[int], Arrays], name: Callable[[int], str], skip: bool, way_out: str = ""
) -> Decoded:
    """Reads rows in parallel (Pillow leaves Python's lock while it decodes).

    Args:
        count: Their number.
        read: Row number -> arrays; the first is an image, (..., H, W), whose shape must be that of the first row's.
        name: Row number -> what to call it in errors.
        skip: Whether rows that cannot be used are left out, and not refused.
        way_out: What to do where images have several sizes, for errors.

    Raises:
        DataError: A row cannot be used and `skip` is off, none can, or their shapes differ.
    """
    broken: dict[int, str] = {}

    def attempt(row: int) -> Arrays | None:
        try:
            return read(row)
        except DataError as error:
            if not skip:
                raise
            broken[row] = str(error)
            return None

    first, head = next(((row, found) for row in range(count) if (found := attempt(row)) is not None), (0, None))
    if head is None:
        allowed = f"at least one; the first: {broken[0]}" if count else "at least one"
        raise DataError("no row can be used", f"{count} rows", allowed, name(0) if count else "data/path")
    stacks = [np.empty((count, *array.shape), array.dtype) for array in head]

    def fill(start: int) -> None:
        for row in range(start, min(start + _CHUNK, count)):
            if (arrays := head if row == first else attempt(row)) is None:
                continue
            if arrays[0].shape != head[0].shape:
                allowed = f"{size_text(head[0].shape[-2:])} (height x width) as in {name(first)}{way_out}"
                raise DataError("images must have one size", size_text(arrays[0].shape[-2:]), allowed, name(row))
            for stack, array in zip(stacks, arrays, strict=True):
                stack[row] = array

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, range(first, count, _CHUNK)))
    rows = np.setdiff1d(np.arange(count), np.fromiter(broken, np.int64, len(broken)))
    reasons = tuple(broken[row] for row in sorted(broken)[:_REASONS])
    return Decoded(tuple(stack[rows] if broken else stack for stack in stacks), rows, count, reasons)


def read_image(source: bytes | str, name: str, channels: int = 3, size: int | None = None) -> NDArray[np.uint8]:
    """Returns an image, (C, H, W).

    Args:
        source: The encoded image, or its path.
        name: What to call it in errors.
        channels: 1 (grey) or 3 (RGB).
        size: Side in pixels that it is resized to; None: its own.

    Raises:
        DataError: It cannot be read.
    """
    from PIL.Image import Resampling

    with opened(source, name) as file:
        image = file.convert("RGB" if channels == 3 else "L")
        if size is not None:
            image = image.resize((size, size), Resampling.BILINEAR)
        pixels = np.asarray(image, dtype=np.uint8)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


@contextmanager
def opened(source: bytes | str, name: str) -> Iterator[Image]:
    """Opens an encoded image, which is decoded when it is used.

    Args:
        source: The bytes, or a path.
        name: What to call it in errors.

    Raises:
        DataError: It cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
            yield file
    except DataError:
        raise
    except (OSError, SyntaxError, ValueError, AttributeError, Image.DecompressionBombError) as error:
        raise DataError("the image cannot be read", str(error), "an image that Pillow reads", name) from error


def size_text(size: tuple[int, ...]) -> str:
    """Returns a size as people write it, `4x6`."""
    return "x".join(map(str, size))
