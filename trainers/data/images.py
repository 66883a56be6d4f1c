"""Folders of images, a class a sub-folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from trainers.data.base import DataError, Decoded, ImageSet, OnError
from trainers.data.decode import Arrays, decode_rows, read_image
from trainers.data.files import SUFFIXES, spread
from trainers.data.labelled import ClassificationData


class ImageFolder(ClassificationData):
    """Image files under `path/CLASS/`, resized to `size` pixels a side, in the order of their names.

    With `path/train/CLASS/` and `path/test/CLASS/` the test part is the latter. `limit` reads so many files of each of
    the two, spread over all classes; each stays in the part that it has without a limit. A file that cannot be read is
    refused by name, or skipped where `on_error` says so.
    """

    kind: Literal["images"] = "images"
    path: str
    size: Annotated[int, Field(ge=1)] = 64
    channels: Literal[1, 3] = 3
    limit: Annotated[int, Field(ge=1)] | None = None
    on_error: OnError = "refuse"

    def load(self) -> ImageSet:
        """Reads and decodes the files."""
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

    def _read(self, root: Path, classes: tuple[str, ...]) -> Decoded:
        found = [
            (str(path), label)
            for label, name in enumerate(classes)
            for path in sorted((root / name).rglob("*"))
            if path.suffix.lower() in SUFFIXES
        ]
        if not found:
            raise DataError("no data here", "no images", "image files in the sub-folders", str(root))
        # Spread over the whole list, which is sorted by class.
        chosen = spread(len(found), self.limit)

        def read(row: int) -> Arrays:
            path, label = found[chosen[row]]
            return read_image(path, path, self.channels, self.size), np.array(label, dtype=np.int64)

        skip = self.on_error == "skip"
        decoded = decode_rows(len(chosen), read, lambda row: found[chosen[row]][0], skip)
        unread = len(found) - len(chosen)
        return Decoded(decoded.arrays, chosen[decoded.rows], len(found), decoded.reasons, unread)
