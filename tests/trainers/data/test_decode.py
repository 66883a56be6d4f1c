import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data.base import DataError, Decoded
from trainers.data.decode import decode_rows, read_image


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


IMAGES = np.random.default_rng(0).integers(0, 256, (100, 4, 6, 3)).astype(np.uint8)


def _decoded(sources: list[bytes], skip: bool = False) -> Decoded:
    names = [f"train.parquet row {row}" for row in range(len(sources))]
    return decode_rows(len(sources), lambda row: (read_image(sources[row], names[row]),), names.__getitem__, skip)


def test_images_come_back_in_order_as_channels_first() -> None:
    found = _decoded([_png(image) for image in IMAGES])
    assert np.array_equal(found.arrays[0], IMAGES.transpose(0, 3, 1, 2))
    assert found.arrays[0].flags.c_contiguous
    assert found.rows.tolist() == list(range(100)) and found.skipped == 0 and found.reasons == ()


def test_paths_grey_and_sizes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_png(IMAGES[0]))
    found = read_image(str(tmp_path / "a.png"), "a", channels=1, size=8)
    expected = Image.fromarray(IMAGES[0]).convert("L").resize((8, 8), Image.Resampling.BILINEAR)
    assert np.array_equal(found, np.asarray(expected)[None])


@pytest.mark.parametrize("broken", [b"no image", b"", None, _png(IMAGES[0])[:-60]])
def test_a_broken_image_is_named(broken: bytes) -> None:
    sources = [_png(image) for image in IMAGES]
    sources[60] = broken
    with pytest.raises(DataError, match="^train.parquet row 60: the image cannot be read"):
        _decoded(sources)
    found = _decoded(sources, skip=True)
    assert found.rows.tolist() == [row for row in range(100) if row != 60]
    assert [reason[:43] for reason in found.reasons] == ["train.parquet row 60: the image cannot be r"]


def _read(row: int) -> tuple[np.ndarray, ...]:
    if row in (0, 5, 18, 31, 39):
        raise DataError("broken", path=f"row {row}")
    return (np.full((3, 2, 2), row, dtype=np.uint8), np.array(row))


def test_broken_rows_are_refused_or_left_out_and_the_first_are_told() -> None:
    found = decode_rows(40, _read, str, skip=True)
    kept = [row for row in range(40) if row not in (0, 5, 18, 31, 39)]
    assert found.arrays[0][:, 0, 0, 0].tolist() == found.arrays[1].tolist() == found.rows.tolist() == kept
    assert (found.count, found.skipped) == (40, 5)
    assert found.reasons == ("row 0: broken", "row 5: broken", "row 18: broken")
    with pytest.raises(DataError, match="^row 0: broken$"):
        decode_rows(40, _read, str, skip=False)
    with pytest.raises(DataError, match="no row can be used; got '1 rows'; allowed at least one; the first: row 0: br"):
        decode_rows(1, _read, str, skip=True)
    with pytest.raises(DataError, match="^data/path: no row can be used; got '0 rows'"):
        decode_rows(0, _read, str, skip=True)


def test_images_of_other_sizes_are_refused_even_where_broken_ones_are_left_out() -> None:
    def read(row: int) -> tuple[np.ndarray, ...]:
        return (np.zeros((3, 4, 5 + (row == 30)), dtype=np.uint8),)

    message = r"row 30: images must have one size; got '4x6'; allowed 4x5 \(height x width\) as in row 0, or less$"
    for skip in (False, True):
        with pytest.raises(DataError, match=message):
            decode_rows(40, read, lambda row: f"row {row}", skip, ", or less")
