from pathlib import Path

import numpy as np
import pytest

from tests.trainers.data.samples import images, masks, png, save
from trainers.data.base import DataError
from trainers.data.files import by_stem, places, spread
from trainers.data.masks import MaskFolder
from trainers.data.rows import Row
from trainers.data.splits import Part, split

COUNT = 60
IMAGES, MASKS = images(COUNT), masks(COUNT)
NAMES = ("a", "b", "c")


def _rows(count: int = COUNT, broken: tuple[int, ...] = ()) -> list[Row]:
    return [Row(f"row {i}", b"" if i in broken else png(IMAGES[i]), png(MASKS[i])) for i in range(count)]


def test_parts_without_a_file_are_cut_from_the_training_file() -> None:
    spec = MaskFolder(path="files", val=0.2, test=0.3, split_seed=4)
    data = spec.segmentation_set({Part.TRAIN: _rows()}, NAMES)
    assert data.parts.tolist() == split(COUNT, 0.2, 0.3, 4).tolist()
    own = spec.segmentation_set({Part.TRAIN: _rows(), Part.VAL: _rows(7)}, NAMES)
    assert own.parts.tolist() == [*split(COUNT, 0.0, 0.3, 4), *[Part.VAL] * 7]
    all_own = spec.segmentation_set({Part.TEST: _rows(3), Part.TRAIN: _rows(), Part.VAL: _rows(7)}, NAMES)
    assert all_own.parts.tolist() == [Part.TRAIN] * COUNT + [Part.VAL] * 7 + [Part.TEST] * 3
    assert np.array_equal(all_own.masks[-3:], MASKS[:3])


def test_neither_a_limit_nor_broken_rows_move_others_between_parts() -> None:
    full = MaskFolder(path="files", val=0.3, test=0.3).segmentation_set({Part.TRAIN: _rows()}, NAMES)
    limited = MaskFolder(path="files", val=0.3, test=0.3, limit=20).segmentation_set({Part.TRAIN: _rows()}, NAMES)
    chosen = spread(COUNT, 20)
    assert np.array_equal(limited.images, full.images[chosen]) and np.array_equal(limited.parts, full.parts[chosen])
    spec = MaskFolder(path="files", val=0.3, test=0.3, on_error="skip")
    skipped = spec.segmentation_set({Part.TRAIN: _rows(broken=(0, 9))}, NAMES)
    kept = [row for row in range(COUNT) if row not in (0, 9)]
    assert skipped.skipped == 2
    assert np.array_equal(skipped.masks, full.masks[kept]) and np.array_equal(skipped.parts, full.parts[kept])
    with pytest.raises(DataError, match="row 0: the image cannot be read"):
        MaskFolder(path="files").segmentation_set({Part.TRAIN: _rows(broken=(0, 9))}, NAMES)


def test_the_mean_is_that_of_the_training_part() -> None:
    data = MaskFolder(path="files", val=0.3, test=0.3).segmentation_set({Part.TRAIN: _rows()}, NAMES)
    pixels = data.images[data.parts == Part.TRAIN].astype(np.float64)
    assert np.allclose(data.mean, pixels.mean((0, 2, 3)), rtol=1e-6)
    assert np.allclose(data.std, pixels.std((0, 2, 3)), rtol=1e-6)


def test_one_size_is_a_square() -> None:
    rows = {Part.TRAIN: _rows()}
    assert MaskFolder(path="files", size=12).segmentation_set(rows, NAMES).input_shape == (3, 12, 12)
    assert MaskFolder.from_data({"path": "files", "size": [9, 12]}).segmentation_set(rows, NAMES).masks.shape[1:] == (
        9,
        12,
    )


def test_what_cannot_be_a_set_is_refused() -> None:
    with pytest.raises(DataError, match=r"^files: the val part is empty; got 'val=0.0, test=0.1 of 60 rows'"):
        MaskFolder(path="files", val=0.0).segmentation_set({Part.TRAIN: _rows()}, NAMES)
    with pytest.raises(DataError, match="^files: no data here; got 'no rows'"):
        MaskFolder(path="files").segmentation_set({Part.TRAIN: []}, NAMES)
    with pytest.raises(DataError, match="^files: masks need class names; got 0; allowed 1 to 255 names"):
        MaskFolder(path="files").segmentation_set({Part.TRAIN: _rows()}, ())
    with pytest.raises(DataError, match="^files: boxes need class names"):
        MaskFolder(path="files").detection_set({Part.TRAIN: _rows()}, ())


def test_rows_are_spread_from_the_first_to_the_last() -> None:
    assert spread(10, None).tolist() == spread(10, 99).tolist() == list(range(10))
    assert spread(10, 4).tolist() == [0, 3, 6, 9]


def test_patterns_name_the_parts(tmp_path: Path) -> None:
    for name in ("train/x", "val/x", "y"):
        (tmp_path / name).mkdir(parents=True)
    found = dict(places(str(tmp_path), "{part}/x", "y"))
    assert found == {part: [tmp_path / part.name.lower() / "x", tmp_path / "y"] for part in (Part.TRAIN, Part.VAL)}
    assert list(dict(places(str(tmp_path), "y"))) == [Part.TRAIN]
    with pytest.raises(DataError, match="train/z: no data here"):
        list(places(str(tmp_path), "{part}/z"))
    with pytest.raises(DataError, match="val/only: no data here"):
        (tmp_path / "train" / "only").mkdir()
        list(places(str(tmp_path), "{part}/x", "{part}/only"))


def test_images_are_known_by_their_path_without_suffix(tmp_path: Path) -> None:
    for name in ("b.png", "deep/a.png"):
        save(tmp_path / name, IMAGES[0])
    (tmp_path / "notes.txt").write_text("no image")
    assert list(by_stem(tmp_path)) == ["b", "deep/a"]
    save(tmp_path / "b.bmp", IMAGES[0])
    with pytest.raises(DataError, match="two images have one name; got 'b.png'"):
        by_stem(tmp_path)


def test_files_are_refused_or_skipped_by_the_spec() -> None:
    assert MaskFolder(path="x").on_error == "refuse"
    assert MaskFolder.from_data({"path": "x", "on_error": "skip"}).on_error == "skip"
