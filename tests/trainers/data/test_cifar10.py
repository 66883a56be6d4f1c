import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from trainers.data.base import Data, DataError
from trainers.data.cifar10 import Cifar10
from trainers.data.splits import Part

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (120, 3, 32, 32)).astype(np.uint8)
LABELS = RNG.integers(0, 10, 120)


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def _parquet(path: Path, rows: slice, **columns: Any) -> None:
    table = {"image": [_png(image) for image in IMAGES[rows]], "label": pa.array(LABELS[rows], pa.int16()), **columns}
    pq.write_table(pa.table(table), path, row_group_size=30)


def _binary(path: Path, rows: slice) -> None:
    records = np.concatenate([LABELS[rows, None].astype(np.uint8), IMAGES[rows].reshape(-1, 3072)], axis=1)
    path.write_bytes(records.tobytes())


def test_parquet_and_binaries_hold_the_same(tmp_path: Path) -> None:
    for name in ("parquet", "binary"):
        (tmp_path / name).mkdir()
    _parquet(tmp_path / "parquet" / "cifar10-train.parquet", slice(0, 100))
    _parquet(tmp_path / "parquet" / "cifar10-test.parquet", slice(100, 120))
    for batch in range(5):
        _binary(tmp_path / "binary" / f"data_batch_{batch + 1}.bin", slice(batch * 20, batch * 20 + 20))
    _binary(tmp_path / "binary" / "test_batch.bin", slice(100, 120))
    for limit in (None, 45):
        one = Cifar10(path=str(tmp_path / "parquet"), limit=limit).load()
        two = Cifar10(path=str(tmp_path / "binary"), limit=limit).load()
        assert one.fingerprint() == two.fingerprint()
        assert np.array_equal(one.images, two.images) and np.array_equal(one.parts, two.parts)
    assert len(one.labels) == 45 + 20
    assert np.array_equal(one.images[:45], IMAGES[:45])
    assert np.array_equal(one.part(Part.TEST)[0], IMAGES[100:])


def test_without_a_test_file_the_test_part_is_cut_off(tmp_path: Path) -> None:
    _parquet(tmp_path / "cifar10-train.parquet", slice(0, 120))
    data = Cifar10(path=str(tmp_path), test=0.3).load()
    assert len(data.labels) == 120 and 20 <= (data.parts == Part.TEST).sum() <= 52


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": [b"x"] * 60}, "cifar10-train.parquet row 0: the image cannot be read"),
        ({"image": pa.nulls(60, pa.binary())}, "cifar10-train.parquet row 0: the image cannot be read"),
        ({"image": pa.array([1] * 60)}, "cannot be read"),
        ({"label": pa.array(["cat"] * 60)}, "cannot be read"),
        ({"label": pa.nulls(60, pa.int16())}, "row 0: no class for this label"),
        ({"label": pa.array([11] * 60)}, "row 0: no class for this label; got 11; allowed 0 to 9"),
    ],
)
def test_wrong_columns_are_named(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    _parquet(tmp_path / "cifar10-train.parquet", slice(0, 60), **columns)
    with pytest.raises(DataError, match=message):
        Cifar10(path=str(tmp_path)).load()


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="^data/path: no data here; got .*absent"):
        Cifar10(path=str(tmp_path / "absent")).load()
    (tmp_path / "cifar10-train.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match="cifar10-train.parquet: cannot be read"):
        Cifar10(path=str(tmp_path)).load()
    pq.write_table(pa.table({"picture": [b""]}), tmp_path / "cifar10-train.parquet")
    with pytest.raises(DataError, match="a column is missing"):
        Cifar10(path=str(tmp_path)).load()
    (tmp_path / "cifar10-train.parquet").unlink()
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3074))
    with pytest.raises(DataError, match="data_batch_1.bin: not whole records; got 3074"):
        Cifar10(path=str(tmp_path)).load()


def test_a_file_that_may_not_be_read_and_an_empty_one_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data_batch_1.bin").touch()
    with pytest.raises(DataError, match=r"data_batch_1.bin: not whole records; got 0"):
        Cifar10(path=str(tmp_path)).load()

    def refused(path: Path, *arguments: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    _binary(tmp_path / "data_batch_1.bin", slice(0, 60))
    monkeypatch.setattr(np, "memmap", refused)
    with pytest.raises(DataError, match=r"data_batch_1.bin: cannot be read; got .*Permission denied"):
        Cifar10(path=str(tmp_path)).load()
    _parquet(tmp_path / "cifar10-train.parquet", slice(0, 60))
    monkeypatch.setattr(pq, "ParquetFile", refused)
    with pytest.raises(DataError, match=r"cifar10-train.parquet: cannot be read; got .*Permission denied"):
        Cifar10(path=str(tmp_path)).load()


def test_the_kind_is_known() -> None:
    assert Data.from_data({"kind": "cifar10", "path": "x", "limit": 5}) == Cifar10(path="x", limit=5)


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not there")
def test_the_real_files() -> None:
    data = Cifar10(path=str(SHARED), limit=2_000).load()
    assert data.images.shape == (4_000, 3, 32, 32)
    # The published moments are 125.3, 123.0, 113.9 and 63.0, 62.1, 66.7.
    assert data.mean == pytest.approx([125.3, 123.0, 113.9], abs=3)
    assert data.std == pytest.approx([63.0, 62.1, 66.7], abs=2)


def test_broken_rows_are_skipped_where_the_spec_says_so(tmp_path: Path) -> None:
    images = [_png(image) for image in IMAGES]
    images[4] = b"broken"
    labels = np.where(np.arange(120) == 9, 10, LABELS)
    pq.write_table(pa.table({"image": images, "label": labels}), tmp_path / "cifar10-train.parquet")
    found = Cifar10(path=str(tmp_path), test=0.3, on_error="skip").load()
    kept = [row for row in range(120) if row not in (4, 9)]
    assert np.array_equal(found.images, IMAGES[kept]) and found.labels.tolist() == LABELS[kept].tolist()
    assert found.skipped == 2
    assert [reason.partition("; got")[0].partition("parquet ")[2] for reason in found.reasons] == [
        "row 4: the image cannot be read",
        "row 9: no class for this label",
    ]


def test_labels_of_binaries_are_named_by_file_and_row_or_skipped(tmp_path: Path) -> None:
    for batch in range(2):
        _binary(tmp_path / f"data_batch_{batch + 1}.bin", slice(batch * 60, batch * 60 + 60))
    content = bytearray((tmp_path / "data_batch_2.bin").read_bytes())
    content[3 * 3073] = 77
    (tmp_path / "data_batch_2.bin").write_bytes(content)
    with pytest.raises(DataError, match="data_batch_2.bin row 3: no class for this label; got 77; allowed 0 to 9"):
        Cifar10(path=str(tmp_path), test=0.3).load()
    found = Cifar10(path=str(tmp_path), test=0.3, on_error="skip").load()
    assert found.skipped == 1 and len(found.labels) == 119
    assert np.array_equal(found.images[62:], IMAGES[[62, *range(64, 120)]])
