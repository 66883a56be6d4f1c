"""Folders of images, a class a sub-folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from trainers.data.base import Data, DataError, ImageSet
from trainers.data.decode import decode

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}


class ImageFolder(Data):
    """Image files under `path/CLASS/`, resized to `size` pixels a side.

    With `path/train/CLASS/` and `path/test/CLASS/` the test part is the latter.
    """

    kind: Literal["images"] = "images"
    path: str
    size: Annotated[int, Field(ge=1)] = 64
    channels: Literal[1, 3] = 3
    limit: Annotated[int, Field(ge=1)] | None = None

    def load(self) -> ImageSet:
        """Reads and decodes the files, in the order of their names."""
        root = Path(self.path)
        if not root.is_dir():
            raise DataError("no data here", self.path, "a folder with a sub-folder a class", "data/path")
        parted = (root / "train").is_dir() and (root / "test").is_dir()
        train, test = (root / "train", root / "test") if parted else (root, None)
        classes = tuple(sorted(folder.name for folder in train.iterdir() if folder.is_dir()))
        if len(classes) < 2:
            raise DataError("a classifier needs two classes", list(classes), "a sub-folder a class", str(train))
        tested = None if test is None else self._read(test, classes)
        return self.image_set(self._read(train, classes), tested, classes, str(train))

    def _read(self, root: Path, classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        found = [
            (path, label)
            for label, name in enumerate(classes)
            for path in sorted((root / name).rglob("*"))
            if path.suffix.lower() in _SUFFIXES
        ]
        if self.limit is not None:
            # Spread over the whole list, which is sorted by class.
            chosen = np.unique(np.linspace(0, len(found) - 1, self.limit).astype(int)) if found else ()
            found = [found[i] for i in chosen]
        paths = [str(path) for path, _ in found]
        images = decode(paths, lambda row: paths[row], self.channels, self.size)
        return images, np.array([label for _, label in found], dtype=np.int64)
