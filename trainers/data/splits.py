"""Which rows are for training, validation and the final test: a keyed hash of the row number decides."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


class Part(IntEnum):
    """A part of a data set; only `final_test` reads `TEST`."""

    TRAIN = 0
    VAL = 1
    TEST = 2


def keyed_uniform(rows: NDArray[np.integer], key: int) -> NDArray[np.float64]:
    """Returns one number in [0, 1) a row, a function of row and key alone.

    Args:
        rows: (N,) row numbers, at least 0.
        key: Any whole number.

    Paper: Steele et al., Fast Splittable Pseudorandom Number Generators, 2014 (SplitMix64's finalizer).
    """
    seed = _mix(np.array([key & _MASK], dtype=np.uint64))
    bits = _mix(seed + (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN))
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def split(rows: int, val: float, test: float, seed: int) -> NDArray[np.uint8]:
    """Returns the part of every row; a row keeps its part when others are added.

    Args:
        rows: Number of rows.
        val: Share of rows for validation.
        test: Share of rows for the final test.
        seed: Key of the hash.

    Returns:
        (rows,) values of `Part`.
    """
    drawn = keyed_uniform(np.arange(rows), seed)
    parts = np.full(rows, Part.TRAIN, dtype=np.uint8)
    parts[drawn < test + val] = Part.VAL
    parts[drawn < test] = Part.TEST
    return parts


def halves(rows: NDArray[np.int64], seed: int, share: float = 0.5) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the training rows from which weights, and those from which the architecture is learned.

    Args:
        rows: (N,) training rows.
        seed: Key of the hash.
        share: Of the rows, for the weights.

    Paper: Liu et al., Auto-DeepLab, 2019, 1901.02985, section 4.2.
    """
    # Another key than that of the parts, or the training rows would be the large numbers of the same draw.
    first = keyed_uniform(rows, seed ^ _GOLDEN) < share
    return rows[first], rows[~first]


def architecture_learns(progress: float, start: float = 0.5) -> bool:
    """Returns whether the architecture is learned yet; before, weights alone are.

    Args:
        progress: Share of training done.
        start: Where it begins: epoch 20 of 40 in the paper.

    Paper: Liu et al., Auto-DeepLab, 2019, 1901.02985, section 4.2.
    """
    return progress >= start
