"""Which row of the data belongs to which part, kept with the run."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from cluster.storage import Storage

SPLITS = "splits.npz"
SCHEMA = 1


def keep_splits(storage: Storage, parts: NDArray[np.uint8] | None) -> None:
    """Writes the part of every row, once, when a search starts.

    A resume does not compare them: the parts are in the fingerprint of the data, which it does compare.

    Args:
        storage: The storage of the run.
        parts: (N,) 0 for training, 1 for validation, 2 for the final test, in the order in which the rows are read;
            None: the task has no rows.
    """
    if parts is None or storage.exists(SPLITS):
        return
    buffer = io.BytesIO()
    np.savez_compressed(buffer, schema=np.int64(SCHEMA), parts=parts)
    storage.write_atomic(SPLITS, buffer.getvalue())
