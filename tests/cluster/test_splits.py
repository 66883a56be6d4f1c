from pathlib import Path

import numpy as np

from cluster.splits import keep_splits
from cluster.storage import Storage
from trainers.data.splits import split

PARTS = split(1000, 0.2, 0.1, 3)


def test_the_part_of_every_row_is_kept(tmp_path: Path) -> None:
    keep_splits(Storage.open(tmp_path / "run"), PARTS)
    with np.load(tmp_path / "run" / "splits.npz") as found:
        assert found["schema"] == 1
        assert found["parts"].dtype == np.uint8 and np.array_equal(found["parts"], PARTS)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["splits.npz"]


def test_it_is_written_once(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    keep_splits(storage, PARTS)
    keep_splits(storage, PARTS[::-1].copy())
    with np.load(tmp_path / "splits.npz") as found:
        assert np.array_equal(found["parts"], PARTS)


def test_an_object_store_has_it_too(tmp_path: Path) -> None:
    from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

    keep_splits(Storage.open("run", SubTreeFileSystem(str(tmp_path), LocalFileSystem())), PARTS)
    with np.load(tmp_path / "run" / "splits.npz") as found:
        assert np.array_equal(found["parts"], PARTS)


def test_a_task_without_rows_leaves_no_file(tmp_path: Path) -> None:
    keep_splits(Storage.open(tmp_path), None)
    assert not list(tmp_path.iterdir())
