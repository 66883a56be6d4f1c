"""Encoded images to arrays; a broken one is named by file and row."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainers.data.base import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_CHUNK = 512


def decode(
    sources: Sequence[bytes | str], name: Callable[[int], str], channels: int = 3, size: int | None = None
) -> NDArray[np.uint8]:
    """Decodes images in parallel (Pillow leaves Python's lock while it decodes).

    Args:
        sources: Encoded images, or their paths.
        name: Row number -> what to call it in errors.
        channels: 1 (grey) or 3 (RGB).
        size: Side in pixels that every image is resized to; None: all must have the size of the first.

    Returns:
        (N, C, H, W) images.

    Raises:
        DataError: An image cannot be read, or has another size than the first.
    """
    if not sources:
        return np.zeros((0, channels, size or 1, size or 1), dtype=np.uint8)
    first = _one(sources[0], name(0), channels, size)
    images = np.empty((len(sources), *first.shape), dtype=np.uint8)

    def fill(start: int) -> None:
        for row in range(start, min(start + _CHUNK, len(sources))):
            image = _one(sources[row], name(row), channels, size)
            if image.shape != first.shape:
                raise DataError("images must have one size", image.shape[:2], f"{first.shape[:2]}, as row 0", name(row))
            images[row] = image

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, range(0, len(sources), _CHUNK)))
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _one(source: bytes | str, name: str, channels: int, size: int | None) -> NDArray[np.uint8]:
    """One image, (H, W, C)."""
    from PIL.Image import Resampling

    with opened(source, name) as file:
        image = file.convert("RGB" if channels == 3 else "L")
        if size is not None:
            image = image.resize((size, size), Resampling.BILINEAR)
        return np.asarray(image, dtype=np.uint8).reshape(image.height, image.width, channels)


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
