"""Boxes in COCO's JSON."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from trainers.data.base import DataError
from trainers.data.files import Files, places
from trainers.data.pictures import DetectionData, DetectionSet
from trainers.data.rows import Objects, Row, objects

Categories = Mapping[Any, str]


class Coco(DetectionData, Files):
    """A JSON file with `images`, `annotations` and `categories`, and a folder of images.

    Both are relative to `path` and may name the part: `{part}` is train, val or test; val and test are used where
    their annotations exist. The defaults are COCO's own layout. A box is (x, y, width, height) with x and y of its
    left top corner from 0, so its right edge is x + width. Labels are the places of the categories in the order of
    their ids. Images without annotations are kept, as images without objects. `iscrowd` becomes `crowd`.

    Paper: Lin et al., Microsoft COCO, 2014, arXiv 1405.0312.
    """

    kind: Literal["coco"] = "coco"
    annotations: str = "annotations/instances_{part}2017.json"
    images: str = "{part}2017"

    def load_boxes(self) -> DetectionSet:
        """Reads the annotations and images, in the order of the file."""
        rows, known = {}, None
        for part, (file, folder) in places(self.path, self.annotations, self.images):
            content = _read(file)
            categories = _categories(content["categories"], file)
            if known not in (None, categories):
                got = list(categories.values())
                raise DataError("the files must have the same categories", got, "those of train", str(file))
            known = categories
            rows[part] = _rows(content, categories, file, folder)
        return self.detection_set(rows, tuple((known or {}).values()))


def _read(file: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise DataError("must be JSON", error.msg, "COCO annotations", f"{file} line {error.lineno}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot be read", str(error), "COCO annotations", str(file)) from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError("a list is missing", key, "lists images, annotations, categories", str(file))
        for number, item in enumerate(content[key]):
            if not isinstance(item, dict):
                raise DataError("must be an object", item, "keys and values", f"{file} {key}[{number}]")
    lists: dict[str, list[dict[str, Any]]] = content
    return lists


def _categories(found: list[dict[str, Any]], file: Path) -> dict[int, str]:
    try:
        return {item["id"]: str(item["name"]) for item in sorted(found, key=lambda item: int(item["id"]))}
    except (KeyError, TypeError, ValueError) as error:
        where = f"{file} categories"
        raise DataError("a category needs a number and a name", repr(error), "id and name", where) from error


def _rows(content: dict[str, list[dict[str, Any]]], categories: Categories, file: Path, folder: Path) -> list[Row]:
    boxes = defaultdict(list)
    for number, item in enumerate(content["annotations"]):
        boxes[_key(item, "image_id")].append((f"{file} annotations[{number}]", item))
    rows, seen = [], set()
    for number, image in enumerate(content["images"]):
        name = f"{file} images[{number}]"
        try:
            key, path = _key(image, "id"), str(folder / str(image.get("file_name", "")))
            if key is None or "file_name" not in image or key in seen:
                got = {field: image.get(field) for field in ("id", "file_name")}
                raise DataError("an image needs an id of its own and a file_name", got, "both", name)
            seen.add(key)
            found = _objects(boxes.pop(key, ()), categories, image, name)
            rows.append(Row(f"{name} ({image['file_name']})", path, found))
        except DataError as error:
            rows.append(Row(name, "", error))
    for (name, item), *_ in boxes.values():
        orphan = DataError("no image for this image_id", item.get("image_id"), "the id of one of images", name)
        rows.append(Row(name, "", orphan))
    return rows


def _objects(found: Any, categories: Categories, image: Mapping[str, Any], name: str) -> Objects:
    places = {category: place for place, category in enumerate(categories)}
    table, labels, crowd = [], [], []
    for where, item in found:
        category = _key(item, "category_id")
        if category not in places:
            raise DataError("no class for this category_id", category, ", ".join(map(str, places)), where)
        try:
            x, y, width, height = map(float, item["bbox"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("bbox must be 4 numbers", item.get("bbox"), "x, y, width, height", where) from error
        if not (width > 0 and height > 0):
            raise DataError("a box must have an area", item["bbox"], "width and height above 0", where)
        table.append((x, y, x + width, y + height))
        labels.append(places[category])
        crowd.append(bool(item.get("iscrowd", 0)))
    size = (image["height"], image["width"]) if image.get("height") and image.get("width") else None
    return objects(table, labels, name, crowd=crowd, size=size)


def _key(item: Mapping[str, Any], field: str) -> int | str | None:
    value = item.get(field)
    return value if isinstance(value, int | str) else None
