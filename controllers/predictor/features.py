"""Candidates as a kernel sees them: options, numbers, and the paths of their architectures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search_spaces.candidate import Candidate
from search_spaces.domains import Categorical, Subset
from search_spaces.space import DecisionPoint, Space

Array = np.ndarray[Any, np.dtype[np.float64]]
BAGS = ("paths", "operations")
"""What is compared of the architectures of two candidates."""


@dataclass(frozen=True)
class Row:
    """One candidate.

    Args:
        options: Its options, and which decisions are active, (a,); the product of two rows is the share they agree in.
        numbers: Its numbers in [0, 1], inactive ones in the middle, (b,).
        bags: Its paths, and the operations on all of them, each bag as the index of every different item, and of its
            second, third, ... occurrence.
    """

    options: Array
    numbers: Array
    bags: tuple[tuple[int, ...], ...]


class Rows:
    """n candidates.

    Args:
        rows: One a candidate, of one encoder.
        further: Numbers in [0, 1] that are no decisions, (n, k).
    """

    def __init__(self, rows: Sequence[Row], further: Array | None = None) -> None:
        self.rows = list(rows)
        self.options = np.stack([row.options for row in rows])
        self.numbers = np.stack([row.numbers for row in rows])
        if further is not None:
            self.numbers = np.hstack([self.numbers, further])
        self.bags = [_Bags([row.bags[i] for row in rows]) for i in range(len(BAGS))]

    def __len__(self) -> int:
        return len(self.rows)

    def hamming(self, other: Rows) -> Array:
        """Return the share of the options in which two candidates differ, (n, m)."""
        if not self.options.shape[1]:
            return np.zeros((len(self), len(other)))
        return np.clip(1.0 - self.options @ other.options.T, 0.0, 1.0)

    def squares(self, other: Rows, scales: Array) -> Array:
        """Return the squared distances of the numbers, each number divided by its scale, (n, m).

        Args:
            other: m candidates.
            scales: (b,).
        """
        from scipy.spatial.distance import cdist

        found: Array = cdist(self.numbers / scales, other.numbers / scales, "sqeuclidean")
        return found

    def apart(self, other: Rows) -> list[Array]:
        """Return the share of the items of two candidates that one of them has alone, for each bag, (n, m) each."""
        return [mine.apart(its) for mine, its in zip(self.bags, other.bags, strict=True)]


class _Bags:
    """n multisets of items.

    Args:
        items: The indices of each.
    """

    def __init__(self, items: Sequence[Sequence[int]]) -> None:
        self._ends = np.cumsum([0, *map(len, items)])
        self._indices = np.array([index for bag in items for index in bag], np.int64)

    def apart(self, other: _Bags) -> Array:
        width = 1 + max(int(bags._indices.max(initial=-1)) for bags in (self, other))
        # Sums of ones are exact, whatever the order of the items.
        shared: Array = (self._ones(width) @ other._ones(width).T).toarray()
        total = np.add.outer(np.diff(self._ends), np.diff(other._ends)).astype(np.float64)
        return np.where(total > 0, 1.0 - 2.0 * shared / np.maximum(total, 1.0), 0.0)

    def _ones(self, width: int) -> Any:
        from scipy import sparse

        shape = (len(self._ends) - 1, width)
        return sparse.csr_array((np.ones(len(self._indices)), self._indices, self._ends), shape=shape)


class Encoder:
    """Turns the candidates of a space into rows. What it remembers makes it faster and changes no distance.

    Args:
        space: Their space.
        keep: Rows that are remembered.
    """

    def __init__(self, space: Space, keep: int = 4096) -> None:
        self._space = space
        self._keep = keep
        self._indices: tuple[dict[tuple[str, int], int], ...] = tuple({} for _ in BAGS)
        self._rows: dict[Candidate, Row] = {}
        paths = {point.path for point in space.points()}
        self._columns = [_Columns(p, any(p.path.startswith(f"{other}/") for other in paths)) for p in space.points()]
        self.numbers = sum(len(columns.middle) for columns in self._columns)
        """Length of the numbers of a row."""
        self.chooses = any(columns.weight for columns in self._columns)
        """Whether candidates can differ in their options."""
        self._scale = 1.0 / max(sum(columns.weight for columns in self._columns), 1) ** 0.5

    def row(self, candidate: Candidate) -> Row:
        """Return the row of a candidate."""
        found = self._rows.get(candidate)
        if found is None:
            if len(self._rows) >= self._keep:
                self._rows = dict(list(self._rows.items())[self._keep // 2 :])
            found = self._rows[candidate] = self._made(candidate)
        return found

    def rows(self, candidates: Iterable[Candidate], further: Array | None = None) -> Rows:
        """Return the rows of some candidates, at least one; `further` as for `Rows`."""
        return Rows([self.row(candidate) for candidate in candidates], further)

    def _made(self, candidate: Candidate) -> Row:
        options: list[float] = []
        numbers: list[float] = []
        for columns in self._columns:
            columns.write(candidate, options, numbers)
        paths = self._space.path_features(candidate)
        bags = tuple(
            tuple(index.setdefault((item, i), len(index)) for item, n in Counter(bag).items() for i in range(n))
            for index, bag in zip(self._indices, (paths, _operations(paths)), strict=True)
        )
        return Row(np.array(options) * self._scale, np.array(numbers), bags)


def _operations(paths: Iterable[str]) -> list[str]:
    """The operations on all paths, each as often as paths go through it, behind the prefix of their spec."""
    parts = [path.rpartition("/") for path in paths]
    return [f"{prefix}/{operation}" for prefix, _, path in parts for operation in path.split(">")]


class _Columns:
    """Where one decision stands in a row: whether it is active, then its options or its numbers."""

    def __init__(self, point: DecisionPoint, optional: bool) -> None:
        self._path, self._domain, self._optional = point.path, point.domain, optional
        width = len(point.domain.features(point.domain.sample(np.random.Generator(np.random.PCG64(0)))))
        self._ordered = width == 0 or not isinstance(point.domain, Categorical | Subset)
        self._width = int(optional) if self._ordered else width * (2 if isinstance(point.domain, Subset) else 1)
        self.middle = [0.5] * width if self._ordered else []
        self.weight = int(optional or not self._ordered)
        self._written: dict[tuple[type, Any], tuple[list[float], list[float]]] = {}

    def write(self, candidate: Candidate, options: list[float], numbers: list[float]) -> None:
        """Append the options and the numbers of a candidate's decision."""
        if self._path not in candidate:
            written = [1.0] * self._optional + [0.0] * self._width, self.middle
        elif isinstance(self._domain, Categorical):
            value = candidate[self._path]
            key = type(value), value
            written = self._written.get(key) or self._written.setdefault(key, self._active(value))
        else:
            written = self._active(candidate[self._path])
        options += written[0]
        numbers += written[1]

    def _active(self, value: Any) -> tuple[list[float], list[float]]:
        features = self._domain.features(value)
        first = [0.0] * self._optional
        if self._ordered:
            return first + [1.0] * self._optional, list(features)
        if isinstance(self._domain, Subset):
            share = len(features) ** -0.5
            return first + [share * on for bit in features for on in (bit, 1.0 - bit)], []
        return first + list(features), []
