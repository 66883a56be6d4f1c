"""A table of candidates and what they are worth: read from Parquet once, asked by candidate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import unknown
from trainers.data.base import DataError

if TYPE_CHECKING:
    import pyarrow as pa

DECISION = "p:"
METRIC = "m:"
_PARTS = (DECISION, METRIC)
_OWN = ("steps", "seed", "seconds", "device_seconds", "attempts", "fidelity")
"""Columns of a table of trials that are numbers, but no figures."""

_FINISHED = {"status": {"COMPLETED"}, "source": {"run"}, "mode": {"train", "evaluate", "retrain"}}
"""Columns of a table of trials, and what stands there in the row of a finished evaluation."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a table mean what.

    Args:
        architecture: The one that holds the architecture as text; None: `decisions` tell the candidate.
        decisions: Path of a decision -> its column.
        figures: Metric -> its column.
        step: The one that numbers the reports of an evaluation; None: a row is an evaluation.
    """

    architecture: str | None
    decisions: Mapping[str, str]
    figures: Mapping[str, str]
    step: str | None = None

    @property
    def all(self) -> list[str]:
        """The names of all columns that are read, each once."""
        named = [self.architecture, self.step, *self.decisions.values(), *self.figures.values()]
        return list(dict.fromkeys(name for name in named if name is not None))


@dataclass(frozen=True)
class Tabular:
    """A table in memory.

    Args:
        paths: The decisions that tell candidates apart; empty: their text does.
        metrics: Names of the figures.
        values: (rows, metrics) float64, NaN where the table has no figure.
        evaluations: What tells a candidate -> its evaluations -> the rows of each, by step.
        fingerprint: Hash of all this.
    """

    paths: tuple[str, ...]
    metrics: tuple[str, ...]
    values: NDArray[np.float64]
    evaluations: Mapping[str, Sequence[Sequence[int]]]
    fingerprint: str

    def curve(self, key: str, seed: int) -> list[dict[str, float]] | None:
        """Returns the figures of one evaluation, a dict a report; None: the table has no such candidate.

        Args:
            key: What tells the candidate: its text, or what `key` makes of its choices.
            seed: Says which of several evaluations.
        """
        found = self.evaluations.get(key)
        if found is None:
            return None
        return [self._figures(row) for row in found[seed % len(found)]]

    def _figures(self, row: int) -> dict[str, float]:
        pairs = zip(self.metrics, self.values[row].tolist(), strict=True)
        return {name: value for name, value in pairs if np.isfinite(value)}


def key(choices: Mapping[str, Any]) -> str:
    """Returns the text by which a table finds a candidate: choices by path, numbers as floats.

    Args:
        choices: Path -> value at every active decision.
    """
    return json.dumps({path: _comparable(choices[path]) for path in sorted(choices)}, separators=(",", ":"))


def _comparable(value: Any) -> Any:
    """A value as it compares after a way through Parquet, where a column has one type and mixtures are JSON text."""
    if isinstance(value, str):
        try:
            read = json.loads(value)
        except ValueError:
            return value
        return value if isinstance(read, str | dict) else _comparable(read)
    if isinstance(value, list | tuple):
        return [_comparable(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def schema(path: str) -> pa.Schema:
    """Returns names and types of the columns of a Parquet file.

    Raises:
        DataError: There is no such file, or it is no Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError("cannot be read", str(error), "a Parquet file", path) from error


def columns(
    found: pa.Schema,
    architecture: str | None = None,
    decisions: Sequence[str] = (),
    figures: Mapping[str, str] | None = None,
    step: str | None = None,
) -> Columns:
    """Returns which columns of a table mean what, where not all is said.

    Args:
        found: Of the table.
        architecture: As for `Columns`.
        decisions: Columns called as the decisions are; none: all `p:PATH`.
        figures: Metric -> column; none: all `m:METRIC`, else every number that nothing else is read from.
        step: As for `Columns`.

    Raises:
        DataError: A column is missing, or nothing tells the candidates apart.
    """
    chosen = {name: name for name in decisions}
    if architecture is None and not chosen:
        chosen = {name.removeprefix(DECISION): name for name in found.names if name.startswith(DECISION)}
        if not chosen:
            rule = "nothing says which candidate a row is of"
            raise DataError(rule, found.names, "columns p:PATH, or `decisions`, or `architecture`")
    used = {architecture, step, *chosen.values()}
    named = dict(figures or {}) or _figures(found, used)
    made = Columns(architecture, {} if architecture is not None else chosen, named, step)
    for name in made.all:
        if name not in found.names:
            raise unknown("column", name, found.names)
    return made


def _figures(found: pa.Schema, used: set[str | None]) -> dict[str, str]:
    import pyarrow as pa

    if any(name.startswith(METRIC) for name in found.names):
        return {name.removeprefix(METRIC): name for name in found.names if name.startswith(METRIC)}
    numbers = [field.name for field in found if pa.types.is_floating(field.type) or pa.types.is_integer(field.type)]
    return {name: name for name in numbers if name not in used and not name.startswith(_PARTS) and name not in _OWN}


def read(path: str, wanted: Columns) -> Tabular:
    """Reads a table; of a search's own trials those that were evaluated to their end.

    Args:
        path: A Parquet file.
        wanted: What its columns mean.

    Raises:
        DataError: It cannot be read, a figure is no number, or rows are of no candidate.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=wanted.all, filters=_finished(pq.read_schema(path)))
        values = [table[name].cast(pa.float64()).to_numpy() for name in wanted.figures.values()]
        steps = None if wanted.step is None else table[wanted.step].cast(pa.int64()).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError("cannot be read", str(error), "a Parquet file whose figures are numbers", path) from error
    keys = _keys(table, wanted)
    if not keys:
        raise DataError("the table has no row of a finished evaluation", path=path)
    if None in keys:
        raise DataError("a row has no architecture", path=f"{path} row {keys.index(None)}")
    matrix = np.stack(values, axis=1) if values else np.zeros((len(keys), 0))
    digest = hashlib.sha256(json.dumps([keys, steps, list(wanted.figures)]).encode())
    digest.update(np.ascontiguousarray(matrix).tobytes())
    found = _evaluations(keys, steps)
    return Tabular(tuple(wanted.decisions), tuple(wanted.figures), matrix, found, digest.hexdigest()[:16])


def _finished(found: pa.Schema) -> list[tuple[str, str, set[str]]] | None:
    return [(name, "in", kept) for name, kept in _FINISHED.items()] if set(_FINISHED) <= set(found.names) else None


def _keys(table: pa.Table, wanted: Columns) -> list[Any]:
    if wanted.architecture is not None:
        return [None if text is None else str(text) for text in table[wanted.architecture].to_pylist()]
    chosen = {path: table[name].to_pylist() for path, name in wanted.decisions.items()}
    return [
        key({path: values[row] for path, values in chosen.items() if values[row] is not None})
        for row in range(table.num_rows)
    ]


def _evaluations(keys: Sequence[str], steps: Sequence[int] | None) -> dict[str, list[list[int]]]:
    """Rows by candidate; the second row of a candidate and a step belongs to its second evaluation, and so on."""
    found: dict[str, list[list[int]]] = {}
    if steps is None:
        for row, name in enumerate(keys):
            found.setdefault(name, []).append([row])
        return found
    seen: dict[tuple[str, int], int] = {}
    for row in sorted(range(len(keys)), key=lambda row: steps[row]):
        place = (keys[row], steps[row])
        number = seen[place] = seen.get(place, -1) + 1
        runs = found.setdefault(keys[row], [])
        if number == len(runs):
            runs.append([])
        runs[number].append(row)
    return found
