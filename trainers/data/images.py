"""Folders of images, a class a sub-folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from trainers.data.base import Data, DataError, ImageSet
from trainers.data.decode import decode
from trainers.data.files import SUFFIXES, limited
from trainers.data.splits import Part


class ImageFolder(Data):
    """Image files under `path/CLASS/`, resized to `size` pixels a side, in the order of their names.

    With `path/train/CLASS/` and `path/test/CLASS/` the test part is the latter. `limit` reads so many files of each of
    the two, spread over all classes; each stays in the part that it has without a limit.
    """

    kind: Literal["images"] = "images"
    path: str
    size: Annotated[int, Field(ge=1)] = 64
    channels: Literal[1, 3] = 3
    limit: Annotated[int, Field(ge=1)] | None = None

    def load(self) -> ImageSet:
        """Reads and decodes the files."""
        root = Path(self.path)
        if not root.is_dir():
            raise DataError("no data here", self.path, "a folder with a sub-folder a class", "data/path")
        parted = (root / "train").is_dir() and (root / "test").is_dir()
        folders = {Part.TRAIN: root / "train", Part.TEST: root / "test"} if parted else {Part.TRAIN: root}
        train = folders[Part.TRAIN]
        classes = tuple(sorted(folder.name for folder in train.iterdir() if folder.is_dir()))
        if len(classes) < 2:
            raise DataError("a classifier needs two classes", list(classes), "a sub-folder a class", str(train))
        files = {part: _files(folder, classes) for part, folder in folders.items()}
        rows, parts = limited(files, self.parts({part: len(found) for part, found in files.items()}), self.limit)
        paths = [path for path, _ in rows]
        labels = np.array([label for _, label in rows], dtype=np.int64)
        images = decode(paths, lambda row: paths[row], self.channels, self.size)
        return self.labelled_set(images, labels, parts, classes, str(train))


def _files(root: Path, classes: tuple[str, ...]) -> list[tuple[str, int]]:
    """Path and label of every image below the folders of the classes."""
    return [
        (str(path), label)
        for label, name in enumerate(classes)
        for path in sorted((root / name).rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
