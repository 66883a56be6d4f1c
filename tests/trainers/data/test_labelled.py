import numpy as np
import pytest

from search_spaces.spec import SpecError
from tests.trainers.examples import Squares
from trainers.data.base import DataError, Decoded, left_out
from trainers.data.labelled import ClassificationData, class_index
from trainers.data.splits import Part, split

IMAGES = np.arange(200, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), dtype=np.uint8)
LABELS = np.arange(200) % 3
NAMES = ("a", "b", "c")


def test_rows_that_were_left_out_move_no_other_row_to_another_part() -> None:
    kept = np.setdiff1d(np.arange(200), [0, 7, 8])
    train = Decoded((IMAGES[kept], LABELS[kept]), kept, 200, ("row 0: broken", "row 7: broken"))
    test = Decoded((IMAGES[1:3], LABELS[1:3]), np.array([1, 2]), 3, ("test row 0: broken",))
    data = Squares(val=0.3).image_set(train, test, NAMES, "x")
    assert data.parts[:-2].tolist() == split(200, 0.3, 0.0, 0)[kept].tolist()
    assert data.parts[-2:].tolist() == [Part.TEST, Part.TEST]
    assert data.images[:, 0, 0, 0].tolist() == [*kept.tolist(), 1, 2]
    assert data.labels.tolist() == [*LABELS[kept].tolist(), 1, 2]
    assert data.skipped == 4
    assert left_out(data) == "4 rows skipped: row 0: broken | row 7: broken | test row 0: broken | ..."


def test_a_label_without_a_class_is_named_by_its_row_in_the_file() -> None:
    with pytest.raises(DataError, match="^file row 9: no class for this label; got 3; allowed 0 to 2"):
        rows = np.arange(5, 200)
        Squares().image_set(Decoded((IMAGES[5:], np.where(rows == 9, 3, 0)), rows, 200), None, NAMES, "file")
    for label in (-1, 3):
        with pytest.raises(DataError, match=f"^r: no class for this label; got {label}; allowed 0 to 2"):
            class_index(label, 3, "r")
    assert class_index(np.int64(2), 3, "r").tolist() == 2


def test_data_without_labels_are_no_data_of_a_classifier() -> None:
    assert ClassificationData.from_data({"kind": "digits"}).to_data()["kind"] == "digits"
    for kind in ("scenes", "masks", "text", "coco"):
        with pytest.raises(SpecError, match=f"{kind}.*allowed cifar10, digits, images"):
            ClassificationData.from_data({"kind": kind})
