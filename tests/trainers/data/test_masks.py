from pathlib import Path

import numpy as np
import pytest

from tests.trainers.data.samples import images, masks, save
from trainers.data.base import DataError
from trainers.data.masks import MaskFolder
from trainers.data.splits import Part

COUNT = 30
IMAGES, MASKS = images(COUNT), masks(COUNT)
NAMES = ("a", "b", "c")


def _fill(root: Path, rows: range, image_folder: str = "images", mask_folder: str = "masks") -> None:
    for i in rows:
        save(root / image_folder / f"{i:03}.bmp", IMAGES[i])
        save(root / mask_folder / f"{i:03}.png", MASKS[i])


def test_images_and_masks_are_matched_by_stem(tmp_path: Path) -> None:
    _fill(tmp_path, range(COUNT))
    data = MaskFolder(path=str(tmp_path), classes=NAMES).load_masks()
    assert np.array_equal(data.images, IMAGES.transpose(0, 3, 1, 2)) and np.array_equal(data.masks, MASKS)
    assert data.classes == NAMES


def test_names_may_stand_in_a_file(tmp_path: Path) -> None:
    _fill(tmp_path, range(COUNT))
    (tmp_path / "classes.txt").write_text("sky\nroad\n\ncar\n")
    assert MaskFolder(path=str(tmp_path)).load_masks().classes == ("sky", "road", "car")
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(DataError, match="data/classes: class names are missing; got '.*classes.txt'"):
        MaskFolder(path=str(tmp_path)).load_masks()


def test_folders_may_name_the_part(tmp_path: Path) -> None:
    for part, rows in (("train", range(20)), ("val", range(20, 26)), ("test", range(26, 30))):
        _fill(tmp_path, rows, part, f"{part}annot")
    spec = MaskFolder(path=str(tmp_path), images="{part}", masks="{part}annot", classes=NAMES)
    data = spec.load_masks()
    assert [len(data.rows(part)) for part in Part] == [20, 6, 4]
    assert np.array_equal(data.masks, MASKS)


def test_a_file_without_its_partner_is_named(tmp_path: Path) -> None:
    _fill(tmp_path, range(COUNT))
    (tmp_path / "masks" / "004.png").unlink()
    with pytest.raises(DataError, match=r"images/004.bmp: an image without a mask; allowed a mask 004.\* in .*masks"):
        MaskFolder(path=str(tmp_path), classes=NAMES).load_masks()
    (tmp_path / "images" / "009.bmp").unlink()
    data = MaskFolder(path=str(tmp_path), classes=NAMES, on_error="skip").load_masks()
    assert data.skipped == 2 and len(data.masks) == COUNT - 2


def test_wrong_masks_are_named_by_file(tmp_path: Path) -> None:
    _fill(tmp_path, range(COUNT))
    with pytest.raises(DataError, match=r"images/000.bmp pixel x=\d+ y=\d+: no class for this mask value; got 2"):
        MaskFolder(path=str(tmp_path), classes=NAMES[:2]).load_masks()
    data = MaskFolder(path=str(tmp_path), classes=NAMES[:2], ignore=2).load_masks()
    assert set(np.unique(data.masks)) == {0, 1, 255}
    save(tmp_path / "masks" / "007.png", MASKS[7][:, :5])
    with pytest.raises(
        DataError, match="images/007.bmp: a mask must have the size of its image; got '6x5'; allowed 6x8"
    ):
        MaskFolder(path=str(tmp_path), classes=NAMES).load_masks()
