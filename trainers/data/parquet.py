"""Parquet files of encoded images with masks or boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trainers.data.base import DataError
from trainers.data.files import Files
from trainers.data.pictures import IGNORE, DetectionData, DetectionSet, Pictures, SegmentationData, SegmentationSet
from trainers.data.rows import Row, objects
from trainers.data.splits import Part

if TYPE_CHECKING:
    import pyarrow as pa

_TRAIN = "-train.parquet"
Header = tuple[tuple[str, ...], dict[str, str]]


class Parquet(SegmentationData, DetectionData, Files):
    """Columns `image` (encoded bytes), and `mask` (encoded bytes) or `boxes` (lists of 4 numbers) and `labels`.

    `path` is a file, or a folder with one `NAME-train.parquet`. Where the file is called so, `NAME-val.parquet` and
    `NAME-test.parquet` beside it are the validation and the test part. Class names are those of the files' schema
    metadata (`classes`: a JSON list), or of `classes`, which goes first. `ignore_index` in the metadata (default 255)
    is the mask value of pixels to ignore; `box_format` (default `xyxy`) may be `xyxy` or `xywh`, in pixels.
    """

    kind: Literal["parquet"] = "parquet"
    classes: tuple[str, ...] = ()

    def load(self) -> Pictures:
        """Reads masks where the file has them, else boxes."""
        schema, _ = _read(self._paths()[Part.TRAIN], ())
        return self.load_masks() if "mask" in schema.names else self.load_boxes()

    def load_masks(self) -> SegmentationSet:
        """Reads the columns `image` and `mask`."""
        paths = self._paths()
        (classes, metadata), tables = self._tables(paths, "image", "mask")
        rows = {
            part: [
                Row(f"{paths[part]} row {number}", image, mask)
                for number, (image, mask) in enumerate(zip(_bytes(table, 0), _bytes(table, 1), strict=True))
            ]
            for part, table in tables.items()
        }
        ignore = metadata.get("ignore_index", str(IGNORE))
        if not ignore.isdecimal():
            raise DataError("ignore_index must be a whole number", ignore, "0 to 255", str(paths[Part.TRAIN]))
        return self.segmentation_set(rows, classes, int(ignore))

    def load_boxes(self) -> DetectionSet:
        """Reads the columns `image`, `boxes` and `labels`."""
        paths = self._paths()
        (classes, metadata), tables = self._tables(paths, "image", "boxes", "labels")
        form = metadata.get("box_format", "xyxy")
        if form not in ("xyxy", "xywh"):
            raise DataError("unknown box_format in the schema metadata", form, "xyxy, xywh", str(paths[Part.TRAIN]))
        rows = {part: _detection_rows(table, str(paths[part]), form) for part, table in tables.items()}
        return self.detection_set(rows, classes)

    def _paths(self) -> dict[Part, Path]:
        train = Path(self.path)
        if train.is_dir():
            found = sorted(train.glob(f"*{_TRAIN}"))
            if len(found) != 1:
                names = [path.name for path in found]
                raise DataError("the folder must hold one training file", names, f"one *{_TRAIN}, or a file", self.path)
            train = found[0]
        if not train.is_file():
            raise DataError("no data here", self.path, f"a Parquet file, or a folder with *{_TRAIN}", "data/path")
        if not train.name.endswith(_TRAIN):
            return {Part.TRAIN: train}
        stem = train.name.removesuffix(_TRAIN)
        beside = {part: train.with_name(f"{stem}-{part.name.lower()}.parquet") for part in Part}
        return {part: path for part, path in beside.items() if path.is_file()}

    def _tables(self, paths: dict[Part, Path], *columns: str) -> tuple[Header, dict[Part, pa.Table]]:
        """Class names and metadata of the training file, and the columns of all files."""
        tables: dict[Part, pa.Table] = {}
        headers: dict[Part, Header] = {}
        for part, path in paths.items():
            schema, tables[part] = _read(path, columns)
            headers[part] = self._header(schema.metadata or {}, str(path))
            if headers[part][0] != headers[Part.TRAIN][0]:
                allowed = f"those of {paths[Part.TRAIN].name}"
                raise DataError("the files must have the same classes", list(headers[part][0]), allowed, str(path))
        return headers[Part.TRAIN], tables

    def _header(self, raw: dict[bytes, bytes], path: str) -> Header:
        metadata = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in raw.items()}
        if self.classes:
            return self.classes, metadata
        try:
            names = json.loads(metadata["classes"])
            if not isinstance(names, list):
                raise ValueError("no list")
        except (KeyError, ValueError) as error:
            got = metadata.get("classes", "none")
            allowed = "a JSON list in the schema metadata, or `classes`"
            raise DataError("class names are missing", got, allowed, path) from error
        return tuple(map(str, names)), metadata


def _read(path: Path, columns: tuple[str, ...]) -> tuple[pa.Schema, pa.Table]:
    """Schema and columns, in this order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            schema = file.schema_arrow
            if not set(columns) <= set(schema.names):
                raise DataError("a column is missing", schema.names, f"columns {', '.join(columns)}", str(path))
            return schema, file.read(columns=list(columns)).select(list(columns))
    except (pa.ArrowException, OSError) as error:
        raise DataError("cannot be read", str(error), "a Parquet file", str(path)) from error


def _bytes(table: pa.Table, column: int) -> list[bytes]:
    import pyarrow as pa

    # A missing value becomes an image that cannot be read, so that its row is named.
    return [value or b"" for value in table.column(column).cast(pa.binary()).to_pylist()]


def _detection_rows(table: pa.Table, path: str, form: str) -> list[Row]:
    rows = []
    columns = (_bytes(table, 0), table.column(1).to_pylist(), table.column(2).to_pylist())
    for number, (image, boxes, labels) in enumerate(zip(*columns, strict=True)):
        name = f"{path} row {number}"
        try:
            found = objects(boxes or (), labels or (), name)
            if form == "xywh":
                found.boxes[:, 2:] += found.boxes[:, :2]
            rows.append(Row(name, image, found))
        except DataError as error:
            rows.append(Row(name, image, error))
    return rows
