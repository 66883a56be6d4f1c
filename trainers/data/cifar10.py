"""CIFAR-10, from Parquet files of encoded images or from the original binary batches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trainers.data.base import DataError, Decoded, ImageSet, OnError
from trainers.data.decode import Arrays, decode_rows, read_image
from trainers.data.labelled import ClassificationData, class_index

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_RECORD = 1 + 3 * 32 * 32


class Cifar10(ClassificationData):
    """50,000 training and 10,000 test images of 32x32 pixels, 10 classes.

    `path` is a folder with `cifar10-train.parquet` and `cifar10-test.parquet` (columns `image`: encoded bytes,
    `label`), or with the original `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`. Without a test file
    the test part is cut from the training rows. `limit` reads the first rows of each of the two parts alone. A row with
    a broken image or a label without a class is refused by name, or skipped where `on_error` says so.

    Paper: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """

    kind: Literal["cifar10"] = "cifar10"
    path: str
    limit: Annotated[int, Field(ge=1)] | None = None
    on_error: OnError = "refuse"

    def load(self) -> ImageSet:
        """Reads and decodes the files."""
        folder = Path(self.path)
        if (folder / "cifar10-train.parquet").is_file():
            train, test = folder / "cifar10-train.parquet", folder / "cifar10-test.parquet"
            tested = self._parquet(test) if test.is_file() else None
            return self.image_set(self._parquet(train), tested, CLASSES, str(train))
        batches, test = sorted(folder.glob("data_batch_*.bin")), folder / "test_batch.bin"
        if not batches:
            allowed = "a folder with cifar10-train.parquet or data_batch_1.bin"
            raise DataError("no data here", self.path, allowed, "data/path")
        tested = self._binary([test]) if test.is_file() else None
        return self.image_set(self._binary(batches), tested, CLASSES, self.path)

    def _parquet(self, path: Path) -> Decoded:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(path, memory_map=True) as file:
                names = file.schema_arrow.names
                if not {"image", "label"} <= set(names):
                    raise DataError("a column is missing", names, "columns image and label", str(path))
                rows = file.metadata.num_rows if self.limit is None else min(self.limit, file.metadata.num_rows)
                groups = _groups(file, rows)
                table = file.read_row_groups(groups, columns=["image", "label"]).slice(0, rows)
                encoded = table["image"].cast(pa.binary()).to_pylist()
                labels = table["label"].cast(pa.int64()).fill_null(-1).to_numpy()
        except (pa.ArrowException, OSError) as error:
            raise DataError("cannot be read", str(error), "Parquet with image (binary) and label", str(path)) from error

        def read(row: int) -> Arrays:
            name = f"{path} row {row}"
            return read_image(encoded[row], name), class_index(labels[row], len(CLASSES), name)

        return decode_rows(len(encoded), read, lambda row: f"{path} row {row}", self.on_error == "skip")

    def _binary(self, paths: list[Path]) -> Decoded:
        blocks: list[NDArray[np.uint8]] = []
        left = self.limit
        for path in paths:
            try:
                if (size := path.stat().st_size) % _RECORD or not size:
                    raise DataError("not whole records", size, f"a multiple of {_RECORD} bytes", str(path))
                block = np.memmap(path, dtype=np.uint8, mode="r").reshape(-1, _RECORD)[:left]
            except OSError as error:
                raise DataError("cannot be read", str(error), "a binary batch of CIFAR-10", str(path)) from error
            blocks.append(block)
            if left is not None and (left := left - len(block)) == 0:
                break
        places = [(path, row) for path, block in zip(paths, blocks, strict=False) for row in range(len(block))]
        records = np.concatenate(blocks)

        def name(row: int) -> str:
            return "{} row {}".format(*places[row])

        def read(row: int) -> Arrays:
            label = class_index(records[row, 0], len(CLASSES), name(row))
            return records[row, 1:].reshape(3, 32, 32), label

        return decode_rows(len(records), read, name, self.on_error == "skip")


def _groups(file: object, rows: int) -> list[int]:
    """The first row groups that hold `rows` rows."""
    metadata = file.metadata  # type: ignore[attr-defined]
    groups, seen = [], 0
    for group in range(metadata.num_row_groups):
        if seen >= rows:
            break
        groups.append(group)
        seen += metadata.row_group(group).num_rows
    return groups
