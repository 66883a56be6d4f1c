"""Small images, masks and tables of them, shared by the tests of this folder."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


def shared(name: str) -> Path:
    """A real file; the test is skipped where there is none."""
    if not (SHARED / name).is_file():
        pytest.skip(f"no ../shared/data/{name}")
    return SHARED / name


def images(count: int, height: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3)).astype(np.uint8)


def masks(count: int, height: int = 6, width: int = 8, classes: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, classes, (count, height, width)).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(pixels))


def write(
    path: Path, columns: Mapping[str, Any], classes: Sequence[str] | None = ("a", "b", "c"), **extra: str
) -> Path:
    """A Parquet file with this schema metadata."""
    metadata = extra if classes is None else {"classes": json.dumps(classes), **extra}
    pq.write_table(pa.table(dict(columns)).replace_schema_metadata(metadata), path, row_group_size=7)
    return path
