import dataclasses
import io

import numpy as np
import pytest

from search_spaces.spec import SpecError
from tests.trainers.examples import Squares, squares
from trainers.data.base import Data, DataError, left_out
from trainers.data.splits import Part

IMAGES = np.random.default_rng(0).integers(0, 256, (200, 3, 4, 5)).astype(np.uint8)
LABELS = np.random.default_rng(1).integers(0, 3, 200)


def test_mean_and_spread_are_those_of_the_training_part_alone() -> None:
    data = Squares().image_set((IMAGES, LABELS), None, ("a", "b", "c"), "x")
    train = IMAGES[data.parts == Part.TRAIN].astype(np.float64)
    assert data.mean == pytest.approx(train.mean((0, 2, 3)), rel=1e-6)
    assert data.std == pytest.approx(train.std((0, 2, 3)), rel=1e-6)
    assert data.input_shape == (3, 4, 5)


def test_parts_are_disjoint_and_whole() -> None:
    data = squares()
    sizes = [len(data.part(part)[1]) for part in Part]
    assert sum(sizes) == len(data.labels) and min(sizes) > 10


def test_a_test_file_is_the_test_part() -> None:
    data = Squares(test=0.5).image_set((IMAGES, LABELS), (IMAGES[:7], LABELS[:7]), ("a", "b", "c"), "x")
    assert np.array_equal(data.part(Part.TEST)[0], IMAGES[:7])
    assert np.flatnonzero(data.parts == Part.TEST).tolist() == list(range(200, 207))


def test_the_fingerprint_sees_pixels_labels_classes_and_split() -> None:
    def fingerprint(images: np.ndarray = IMAGES, labels: np.ndarray = LABELS, seed: int = 0, names: str = "abc") -> str:
        return Squares(split_seed=seed).image_set((images, labels), None, tuple(names), "x").fingerprint()

    changed_label = LABELS.copy()
    changed_label[3] = (changed_label[3] + 1) % 3
    found = {
        fingerprint(),
        fingerprint(images=IMAGES[:, :, ::-1].copy()),
        fingerprint(labels=changed_label),
        fingerprint(seed=1),
        fingerprint(names="abd"),
        fingerprint(IMAGES[:199], LABELS[:199]),
    }
    assert len(found) == 6
    assert fingerprint() == fingerprint()


def test_arrays_may_be_read_only() -> None:
    data = squares()
    for name in ("images", "labels", "parts", "mean", "std"):
        getattr(data, name).flags.writeable = False
    assert len(data.part(Part.VAL)[0]) > 0


def test_an_image_set_is_plain_arrays() -> None:
    for item in dataclasses.astuple(squares())[:5]:
        assert isinstance(item, np.ndarray) and item.dtype != object
        np.save(io.BytesIO(), item, allow_pickle=False)


def test_an_empty_part_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="the val part is empty.*val=0.0"):
        Squares(val=0.0).image_set((IMAGES, LABELS), None, ("a", "b", "c"), "file")


def test_a_label_without_a_class_is_named_by_row() -> None:
    labels = LABELS.copy()
    labels[17] = 3
    with pytest.raises(DataError, match="^file row 17: no class for this label; got 3; allowed 0 to 2"):
        Squares().image_set((IMAGES, labels), None, ("a", "b", "c"), "file")


def test_shares_that_leave_nothing_are_refused() -> None:
    with pytest.raises(SpecError, match=r"below 1; got 0.6 \+ 0.4"):
        Data.from_data({"kind": "digits", "val": 0.6, "test": 0.4})


def test_what_was_left_out_is_told_in_a_line() -> None:
    assert left_out(squares()) is None and left_out(None) is None
    one = dataclasses.replace(squares(), skipped=1, reasons=("file row 3: broken",))
    assert left_out(one) == "1 row skipped: file row 3: broken"
