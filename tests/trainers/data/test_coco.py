import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainers.data.samples import images, save
from trainers.data.base import DataError
from trainers.data.coco import Coco
from trainers.data.splits import Part

COUNT = 60
IMAGES = images(COUNT)


def _content(rows: range) -> dict[str, list[dict[str, Any]]]:
    return {
        "images": [{"id": 100 + i, "file_name": f"{i:03}.png", "width": 8, "height": 6} for i in rows],
        "annotations": [
            {"id": 1, "image_id": 100 + rows[0], "category_id": 18, "bbox": [1, 2, 3, 4], "iscrowd": 0},
            {"id": 2, "image_id": 100 + rows[2], "category_id": 3, "bbox": [0, 0, 8, 6], "iscrowd": 1},
            {"id": 3, "image_id": 100 + rows[0], "category_id": 3, "bbox": [6.5, 1.5, 1.5, 2]},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
    }


def _write(root: Path, content: Any, rows: range, part: str = "train") -> Coco:
    for i in rows:
        save(root / f"{part}2017" / f"{i:03}.png", IMAGES[i])
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(content))
    return Coco(path=str(root))


def test_widths_become_edges_and_ids_places(tmp_path: Path) -> None:
    data = _write(tmp_path, _content(range(COUNT)), range(COUNT)).load_boxes()
    assert data.classes == ("car", "dog")
    assert data.boxes[0].tolist() == [[1, 2, 4, 6], [6.5, 1.5, 8, 3.5]] and data.labels[0].tolist() == [1, 0]
    assert data.counts.tolist() == [2, 0, 1] + [0] * (COUNT - 3)
    assert np.argwhere(data.crowd).tolist() == [[2, 0]]
    assert np.array_equal(data.images, IMAGES.transpose(0, 3, 1, 2))


def test_parts_have_files_of_their_own(tmp_path: Path) -> None:
    _write(tmp_path, _content(range(20)), range(20))
    spec = _write(tmp_path, _content(range(20, 30)), range(20, 30), "val")
    data = spec.load_boxes()
    assert data.rows(Part.VAL).tolist() == list(range(20, 30)) and len(data.rows(Part.TEST)) > 0
    other = _content(range(20, 30))
    other["categories"][0]["name"] = "cat"
    with pytest.raises(DataError, match=r"val2017.json: the files must have the same categories; got \['car', 'cat'\]"):
        _write(tmp_path, other, range(20, 30), "val").load_boxes()


@pytest.mark.parametrize(
    ("place", "changes", "message"),
    [
        (0, {"category_id": 7}, r"annotations\[0\]: no class for this category_id; got 7; allowed 3, 18"),
        (0, {"bbox": [1, 2, 0, 4]}, r"annotations\[0\]: a box must have an area"),
        (1, {"bbox": [1, 2]}, r"annotations\[1\]: bbox must be 4 numbers; got \[1, 2\]"),
        (1, {"bbox": None}, r"annotations\[1\]: bbox must be 4 numbers; got None"),
        (2, {"bbox": [8, 0, 2, 2]}, r"images\[0\] \(000.png\) object 1: a box must have an area inside its image"),
        (2, {"image_id": 999}, r"annotations\[2\]: no image for this image_id; got 999"),
        (2, {"image_id": [1]}, r"annotations\[2\]: no image for this image_id; got \[1\]"),
    ],
)
def test_broken_annotations_are_named_or_counted(
    tmp_path: Path, place: int, changes: dict[str, Any], message: str
) -> None:
    content = _content(range(COUNT))
    content["annotations"][place] |= changes
    spec = _write(tmp_path, content, range(COUNT))
    with pytest.raises(DataError, match=rf"instances_train2017.json {message}"):
        spec.load_boxes()
    assert Coco(path=spec.path, on_error="skip").load_boxes().skipped == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file_name": "absent.png"}, r"images\[4\] \(absent.png\): the image cannot be read"),
        ({"id": 100}, r"images\[4\]: an image needs an id of its own and a file_name; got {'id': 100"),
        ({"width": 9}, r"images\[4\] \(004.png\): an annotation must have the size of its image; got '6x9'"),
    ],
)
def test_broken_images_are_named_or_counted(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    content = _content(range(COUNT))
    content["images"][4] |= changes
    spec = _write(tmp_path, content, range(COUNT))
    with pytest.raises(DataError, match=rf"instances_train2017.json {message}"):
        spec.load_boxes()
    assert Coco(path=spec.path, on_error="skip").load_boxes().skipped == 1


def test_what_is_no_coco_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="annotations/instances_train2017.json: no data here"):
        Coco(path=str(tmp_path)).load_boxes()
    spec = _write(tmp_path, {"images": []}, range(1))
    with pytest.raises(DataError, match="a list is missing; got 'annotations'"):
        spec.load_boxes()
    (tmp_path / "annotations" / "instances_train2017.json").write_text('{"images": [\n\n}')
    with pytest.raises(DataError, match="instances_train2017.json line 3: must be JSON"):
        spec.load_boxes()
    content = _content(range(COUNT))
    content["categories"] = [{"id": 3}]  # type: ignore[dict-item]
    with pytest.raises(DataError, match="categories: a category needs a number and a name"):
        _write(tmp_path, content, range(COUNT)).load_boxes()
