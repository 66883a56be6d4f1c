from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.trainers.data.samples import SHARED, images, masks, png, shared, write
from trainers.data.base import DataError
from trainers.data.parquet import Parquet
from trainers.data.pictures import DetectionSet, SegmentationSet
from trainers.data.splits import Part, split

COUNT = 40
IMAGES, MASKS = images(COUNT), masks(COUNT)
BOXES = [[[0.5, 1, 3, 4], [2, 2, 8, 6]][: row % 3] for row in range(COUNT)]
LABELS = [[0, 2][: row % 3] for row in range(COUNT)]


def _masked(rows: slice = slice(None)) -> dict[str, Any]:
    return {"image": [png(image) for image in IMAGES[rows]], "mask": [png(mask) for mask in MASKS[rows]]}


def _boxed(rows: slice = slice(None)) -> dict[str, Any]:
    boxes = pa.array(BOXES[rows], pa.list_(pa.list_(pa.float32(), 4)))
    labels = pa.array(LABELS[rows], pa.list_(pa.int16()))
    return {"image": [png(image) for image in IMAGES[rows]], "boxes": boxes, "labels": labels}


def test_masks_come_back(tmp_path: Path) -> None:
    path = write(tmp_path / "all.parquet", _masked())
    data = Parquet(path=str(path)).load()
    assert isinstance(data, SegmentationSet) and data.classes == ("a", "b", "c")
    assert np.array_equal(data.images, IMAGES.transpose(0, 3, 1, 2)) and np.array_equal(data.masks, MASKS)
    assert data.parts.tolist() == split(COUNT, 0.1, 0.1, 0).tolist()


def test_boxes_come_back(tmp_path: Path) -> None:
    path = write(tmp_path / "all.parquet", _boxed())
    data = Parquet(path=str(path)).load()
    assert isinstance(data, DetectionSet) and data.counts.tolist() == [row % 3 for row in range(COUNT)]
    assert (
        data.boxes.shape == (COUNT, 2, 4) and data.boxes[5].tolist() == BOXES[5] and data.labels[5].tolist() == [0, 2]
    )
    assert not data.crowd.any() and not data.difficult.any() and data.instances is None


def test_widths_become_edges(tmp_path: Path) -> None:
    table = _boxed() | {"boxes": pa.array([[[1, 2, 3, 4]]] * COUNT, pa.list_(pa.list_(pa.float32(), 4)))}
    table["labels"] = pa.array([[1]] * COUNT, pa.list_(pa.int16()))
    data = Parquet(path=str(write(tmp_path / "all.parquet", table, box_format="xywh"))).load_boxes()
    assert (data.boxes == np.array([1, 2, 4, 6])).all()


def test_files_beside_the_training_file_are_parts(tmp_path: Path) -> None:
    write(tmp_path / "x-train.parquet", _masked(slice(0, 30)))
    write(tmp_path / "x-val.parquet", _masked(slice(30, 36)))
    data = Parquet(path=str(tmp_path), test=0.2).load_masks()
    assert data.parts.tolist() == [*split(30, 0.0, 0.2, 0), *[Part.VAL] * 6]
    write(tmp_path / "x-test.parquet", _masked(slice(36, 40)))
    data = Parquet(path=str(tmp_path / "x-train.parquet"), test=0.2).load_masks()
    assert data.parts.tolist() == [Part.TRAIN] * 30 + [Part.VAL] * 6 + [Part.TEST] * 4
    assert np.array_equal(data.masks, MASKS)
    limited = Parquet(path=str(tmp_path), limit=3).load_masks()
    assert [len(limited.rows(part)) for part in Part] == [3, 3, 3]


def test_names_and_the_ignored_value_come_from_the_file_or_the_spec(tmp_path: Path) -> None:
    path = str(write(tmp_path / "all.parquet", _masked(), classes=None, ignore_index="2"))
    with pytest.raises(DataError, match="all.parquet: class names are missing; got 'none'; allowed a JSON list"):
        Parquet(path=path).load()
    data = Parquet(path=path, classes=("x", "y")).load_masks()
    assert data.classes == ("x", "y") and np.array_equal(data.masks, np.where(MASKS == 2, 255, MASKS))


def test_broken_rows_are_named_or_counted(tmp_path: Path) -> None:
    table = _boxed()
    table["image"][3] = b"broken"
    table["image"][4] = None
    table["labels"] = pa.array([*LABELS[:7], [0, 1], *LABELS[8:]], pa.list_(pa.int16()))
    path = str(write(tmp_path / "all.parquet", table))
    with pytest.raises(DataError, match="all.parquet row 3: the image cannot be read"):
        Parquet(path=path).load_boxes()
    data = Parquet(path=path, on_error="skip").load_boxes()
    assert data.skipped == 3 and len(data.images) == COUNT - 3
    table["image"] = _boxed()["image"]
    path = str(write(tmp_path / "all.parquet", table))
    with pytest.raises(DataError, match="all.parquet row 7: every box needs 4 numbers and a label"):
        Parquet(path=path).load_boxes()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="data/path: no data here; got '.*absent.parquet'"):
        Parquet(path=str(tmp_path / "absent.parquet")).load()
    with pytest.raises(
        DataError, match=r"the folder must hold one training file; got \[\]; allowed one \*-train.parquet"
    ):
        Parquet(path=str(tmp_path)).load()
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(DataError, match="text.parquet: cannot be read"):
        Parquet(path=str(tmp_path / "text.parquet")).load()
    path = str(write(tmp_path / "all.parquet", _masked(), ignore_index="none", box_format="yx"))
    with pytest.raises(DataError, match="a column is missing; got .*; allowed columns image, boxes, labels"):
        Parquet(path=path).load_boxes()
    with pytest.raises(DataError, match="ignore_index must be a whole number; got 'none'"):
        Parquet(path=path).load_masks()
    write(tmp_path / "x-train.parquet", _masked())
    write(tmp_path / "x-val.parquet", _masked(), classes=("a", "b"))
    message = "x-val.parquet: the files must have the same classes; got .*; allowed those of x-train.parquet"
    with pytest.raises(DataError, match=message):
        Parquet(path=str(tmp_path / "x-train.parquet")).load()
    path = str(write(tmp_path / "boxes.parquet", _boxed(), box_format="yx"))
    with pytest.raises(DataError, match="unknown box_format in the schema metadata; got 'yx'"):
        Parquet(path=path).load()


def test_camvid() -> None:
    data = Parquet(path=str(shared("camvid-train.parquet"))).load_masks()
    assert data.images.shape == (468, 3, 180, 240) and data.masks.shape == (468, 180, 240)
    assert len(data.rows(Part.VAL)) == 101 and len(data.rows(Part.TRAIN)) + len(data.rows(Part.TEST)) == 367
    assert len(data.classes) == 11 and data.classes[:2] == ("sky", "building") and data.skipped == 0
    counts = np.bincount(data.masks.ravel(), minlength=256)
    assert counts[0] == 2655759 + 398283 and counts[255] == 628476 + 74417 and counts[11:255].sum() == 0


def test_camvid_has_no_boxes_and_the_folder_three_training_files() -> None:
    shared("camvid-train.parquet")
    with pytest.raises(DataError, match="the folder must hold one training file; got .*bccd-train.parquet"):
        Parquet(path=str(SHARED)).load()


def test_bccd() -> None:
    data = Parquet(path=str(shared("bccd-train.parquet"))).load_boxes()
    assert data.images.shape == (292, 3, 240, 320) and data.classes == ("RBC", "WBC", "Platelets")
    assert len(data.rows(Part.VAL)) == 87 and len(data.rows(Part.TRAIN)) + len(data.rows(Part.TEST)) == 205
    assert data.counts.sum() == 2804 + 1137 and data.boxes.shape == (292, 30, 4)
    assert np.bincount(data.labels[data.labels >= 0]).tolist() == [2381 + 967, 214 + 87, 209 + 83]
    assert data.boxes[0, 0].tolist() == [34.0, 157.5, 143.0, 240.0]


def test_bccd_in_another_size() -> None:
    data = Parquet(path=str(shared("bccd-train.parquet")), size=(96, 96), limit=20).load_boxes()
    assert data.images.shape == (40, 3, 96, 96) and (data.images[:, :, 72:] == 114).all()
    assert np.allclose(data.boxes[0, 0], np.array([34.0, 157.5, 143.0, 240.0]) * 0.3)
