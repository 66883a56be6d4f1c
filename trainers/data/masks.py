"""Folders of images and of masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from trainers.data.base import DataError
from trainers.data.files import Files, by_stem, places
from trainers.data.pictures import IGNORE, SegmentationData, SegmentationSet
from trainers.data.rows import Row


class MaskFolder(SegmentationData, Files):
    """Image files below `path/IMAGES` and masks below `path/MASKS`, matched by their path there without suffix.

    A mask is an 8-bit grey or palette image whose values are indexes of `classes`, or `ignore`. `images` and `masks`
    may name the part, as in `{part}/images`, where `{part}` is train, val or test; val and test are used where they
    exist. Without `classes` the names stand in `path/classes.txt`, one a line. A file without its partner is an error.
    """

    kind: Literal["masks"] = "masks"
    images: str = "images"
    masks: str = "masks"
    classes: tuple[str, ...] = ()
    ignore: Annotated[int, Field(ge=0, le=255)] = IGNORE

    def load_masks(self) -> SegmentationSet:
        """Reads the files, in the order of their names."""
        rows = {part: _rows(*folders) for part, folders in places(self.path, self.images, self.masks)}
        return self.segmentation_set(rows, self.classes or self._names(), self.ignore)

    def _names(self) -> tuple[str, ...]:
        file = Path(self.path) / "classes.txt"
        if not file.is_file():
            raise DataError("class names are missing", str(file), "that file, or `classes`", "data/classes")
        return tuple(line.strip() for line in file.read_text("utf-8").splitlines() if line.strip())


def _rows(images: Path, masks: Path) -> list[Row]:
    pictures, targets = by_stem(images), by_stem(masks)
    rows = []
    for stem in sorted(pictures.keys() | targets.keys()):
        image, mask = pictures.get(stem), targets.get(stem)
        if image is not None and mask is not None:
            rows.append(Row(str(image), str(image), str(mask)))
        elif image is not None:
            error = DataError("an image without a mask", allowed=f"a mask {stem}.* in {masks}", path=str(image))
            rows.append(Row(str(image), str(image), error))
        else:
            error = DataError("a mask without an image", allowed=f"an image {stem}.* in {images}", path=str(mask))
            rows.append(Row(str(mask), "", error))
    return rows
