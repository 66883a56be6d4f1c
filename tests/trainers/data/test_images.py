from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data.base import DataError
from trainers.data.images import ImageFolder
from trainers.data.splits import Part


def _fill(root: Path, count: int = 40, level: int = 0) -> None:
    for name, value in (("cat", 50 + level), ("dog", 150 + level)):
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(np.full((5 + i % 3, 7, 3), value, dtype=np.uint8)).save(root / name / f"{i:03}.png")


def test_classes_are_sub_folders(tmp_path: Path) -> None:
    _fill(tmp_path)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    data = ImageFolder(path=str(tmp_path), size=6).load()
    assert data.classes == ("cat", "dog")
    assert data.images.shape == (80, 3, 6, 6)
    assert set(data.images[data.labels == 0].flat) == {50} and set(data.images[data.labels == 1].flat) == {150}


def test_a_test_folder_is_the_test_part(tmp_path: Path) -> None:
    _fill(tmp_path / "train")
    _fill(tmp_path / "test", count=3, level=9)
    data = ImageFolder(path=str(tmp_path), size=4, channels=1).load()
    images, labels = data.part(Part.TEST)
    assert images.shape == (6, 1, 4, 4) and set(images.flat) == {59, 159}
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_images_stand_in_the_order_of_their_names(tmp_path: Path) -> None:
    _fill(tmp_path)
    for name in ("z", "b", "y", "a", "x", "c"):
        Image.fromarray(np.full((4, 4), ord(name), dtype=np.uint8)).save(tmp_path / "cat" / f"{name}.png")
    data = ImageFolder(path=str(tmp_path), size=4, channels=1).load()
    assert data.images[40:46, 0, 0, 0].tolist() == [ord(name) for name in "abcxyz"]


def test_a_limit_keeps_every_class(tmp_path: Path) -> None:
    _fill(tmp_path)
    data = ImageFolder(path=str(tmp_path), size=4, limit=20, val=0.2, test=0.2).load()
    assert np.bincount(data.labels).tolist() == [10, 10]


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data here.*absent"):
        ImageFolder(path=str(tmp_path / "absent")).load()
    (tmp_path / "one").mkdir()
    with pytest.raises(DataError, match=r"two classes; got \['one'\]"):
        ImageFolder(path=str(tmp_path)).load()
    _fill(tmp_path)
    (tmp_path / "cat" / "005.png").write_bytes(b"broken")
    with pytest.raises(DataError, match="cat/005.png: the image cannot be read"):
        ImageFolder(path=str(tmp_path)).load()


def test_a_limit_moves_no_image_to_another_part(tmp_path: Path) -> None:
    for name, first in (("cat", 0), ("dog", 100)):
        (tmp_path / name).mkdir()
        for i in range(100):
            Image.fromarray(np.full((4, 4), first + i, dtype=np.uint8)).save(tmp_path / name / f"{i:03}.png")

    def parts(limit: int | None) -> dict[int, int]:
        data = ImageFolder(path=str(tmp_path), size=4, channels=1, limit=limit, val=0.3, test=0.3).load()
        return dict(zip(data.images[:, 0, 0, 0].tolist(), data.parts.tolist(), strict=True))

    whole, few = parts(None), parts(30)
    assert len(whole) == 200 and len(few) == 30
    assert few == {level: whole[level] for level in few}


def test_broken_files_are_skipped_where_the_spec_says_so(tmp_path: Path) -> None:
    _fill(tmp_path)
    full = ImageFolder(path=str(tmp_path), size=4).load()
    for name in ("cat/005.png", "dog/011.png"):
        (tmp_path / name).write_bytes(b"broken")
    data = ImageFolder(path=str(tmp_path), size=4, on_error="skip").load()
    kept = [row for row in range(80) if row not in (5, 51)]
    assert data.skipped == 2 and data.labels.tolist() == full.labels[kept].tolist()
    assert data.parts.tolist() == full.parts[kept].tolist()
    assert data.reasons[1].startswith(f"{tmp_path / 'dog' / '011.png'}: the image cannot be read")


def test_folders_without_images_are_named(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="no data here; got 'no images'; allowed image files in the sub-folders"):
        ImageFolder(path=str(tmp_path)).load()
