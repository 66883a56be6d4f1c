"""Boxes in Pascal VOC's XML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from trainers.data.base import DataError
from trainers.data.files import Files, by_stem, places
from trainers.data.pictures import DetectionData, DetectionSet
from trainers.data.rows import Row, objects
from trainers.data.splits import Part

_EDGES = ("xmin", "ymin", "xmax", "ymax")


class Voc(DetectionData, Files):
    """An XML file an image below `path/ANNOTATIONS`, and the images below `path/IMAGES`, matched by their stem.

    Where `path/LISTS` of the training part exists, it and those of val and test name the files of each part; else
    `annotations` and `images` may name the part, as in `{part}/xml`, or all files are split. A box is the first and
    last column and row that it covers, counted from 1, both inclusive: its left edge is xmin - 1, its right edge
    xmax. `difficult` is kept. Without `classes` they are all names that occur, sorted.

    Paper: Everingham et al., The Pascal Visual Object Classes Challenge, 2010, development kit.
    """

    kind: Literal["voc"] = "voc"
    annotations: str = "Annotations"
    images: str = "JPEGImages"
    lists: str = "ImageSets/Main/{part}.txt"
    classes: tuple[str, ...] = ()

    def load_boxes(self) -> DetectionSet:
        """Reads the files, in the order of the lists or of their names."""
        pictures, parsed = {}, {}
        for part, files, images in self._files():
            pictures[part] = by_stem(images)
            parsed[part] = [_parse(file) for file in files]
        scenes = [scene for found in parsed.values() for scene in found if isinstance(scene, _Scene)]
        classes = self.classes or tuple(sorted({label for scene in scenes for label in scene.labels}))
        rows = {part: [_row(scene, classes, pictures[part]) for scene in found] for part, found in parsed.items()}
        return self.detection_set(rows, classes)

    def _files(self) -> Iterator[tuple[Part, list[Path], Path]]:
        """Each part with its annotations and the folder of its images."""
        folders = list(places(self.path, self.annotations, self.images))
        if not (Path(self.path) / self.lists.replace("{part}", "train")).is_file():
            yield from ((part, sorted(folder.glob("*.xml")), images) for part, (folder, images) in folders)
            return
        _, (folder, images) = folders[0]
        for part, (file,) in places(self.path, self.lists):
            lines = file.read_text("utf-8").splitlines()
            # A line may also hold a flag after the name.
            yield part, [folder / f"{line.split()[0]}.xml" for line in lines if line.strip()], images


@dataclass(frozen=True)
class _Scene:
    """What an XML file says, with names for labels."""

    file: Path
    boxes: list[list[float]]
    labels: list[str]
    difficult: list[bool]
    size: tuple[int, int] | None


def _parse(file: Path) -> _Scene | DataError:
    try:
        root = ElementTree.parse(file).getroot()
    except ElementTree.ParseError as error:
        return DataError("must be XML", error.msg, "a Pascal VOC annotation", f"{file} line {error.position[0]}")
    except OSError as error:
        return DataError("cannot be read", str(error), "a Pascal VOC annotation", str(file))
    boxes, labels, difficult = [], [], []
    for number, item in enumerate(root.iter("object")):
        try:
            left, top, right, bottom = (float(item.findtext(f"bndbox/{edge}", "")) for edge in _EDGES)
            boxes.append([left - 1, top - 1, right, bottom])
            labels.append((item.findtext("name") or "").strip())
            difficult.append(int(item.findtext("difficult") or 0) != 0)
        except ValueError as error:
            allowed = "bndbox/xmin, ymin, xmax, ymax and difficult as numbers"
            return DataError("an object needs its box in numbers", str(error), allowed, f"{file} object {number}")
        if not labels[-1]:
            return DataError("an object needs a name", labels[-1], "a class in name", f"{file} object {number}")
    try:
        height, width = (int(root.findtext(f"size/{side}") or 0) for side in ("height", "width"))
    except ValueError as error:
        return DataError("size must be whole numbers", str(error), "width and height", f"{file} size")
    return _Scene(file, boxes, labels, difficult, (height, width) if height and width else None)


def _row(scene: _Scene | DataError, classes: tuple[str, ...], pictures: dict[str, Path]) -> Row:
    if isinstance(scene, DataError):
        return Row(scene.path, "", scene)
    name = str(scene.file)
    if scene.file.stem not in pictures:
        return Row(name, "", DataError("an annotation without an image", scene.file.stem, "an image so called", name))
    unknown: Any = next((label for label in scene.labels if label not in classes), None)
    if unknown is not None:
        where = f"{name} object {scene.labels.index(unknown)}"
        return Row(name, "", DataError("no class for this name", unknown, ", ".join(classes), where))
    labels = [classes.index(label) for label in scene.labels]
    found = objects(scene.boxes, labels, name, difficult=scene.difficult, size=scene.size)
    return Row(name, str(pictures[scene.file.stem]), found)
