import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data.base import DataError
from trainers.data.decode import decode


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


IMAGES = np.random.default_rng(0).integers(0, 256, (1100, 4, 6, 3)).astype(np.uint8)


def test_images_come_back_in_order_as_channels_first() -> None:
    found = decode([_png(image) for image in IMAGES], str)
    assert np.array_equal(found, IMAGES.transpose(0, 3, 1, 2))
    assert found.flags.c_contiguous


def test_paths_grey_and_sizes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_png(IMAGES[0]))
    found = decode([str(tmp_path / "a.png")], str, channels=1, size=8)
    expected = Image.fromarray(IMAGES[0]).convert("L").resize((8, 8), Image.Resampling.BILINEAR)
    assert np.array_equal(found[0, 0], np.asarray(expected))


@pytest.mark.parametrize("broken", [b"no image", b"", None, _png(IMAGES[0])[:-60]])
def test_a_broken_image_is_named(broken: bytes) -> None:
    sources = [_png(image) for image in IMAGES[:700]]
    sources[600] = broken
    with pytest.raises(DataError, match="^train.parquet row 600: the image cannot be read"):
        decode(sources, lambda row: f"train.parquet row {row}")


def test_an_image_of_another_size_is_named() -> None:
    with pytest.raises(DataError, match=r"row 1: images must have one size; got \(3, 6\); allowed \(4, 6\)"):
        decode([_png(IMAGES[0]), _png(IMAGES[1][:3])], lambda row: f"row {row}")


def test_nothing_is_an_empty_array() -> None:
    assert decode([], str).shape[0] == 0
