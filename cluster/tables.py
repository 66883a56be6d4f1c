"""`trials.parquet` and `reports.parquet/`: the journal as tables, for people and their tools.

A row of the first is a trial, of the second a report. `p:PATH` is the value at a decision point, null when the point is
not active; `m:METRIC` is a metric. Both are readers' work: deleted, they come back from the journal.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cluster.history import History, TrialRow
from cluster.journal import Cursor, JournalReader, Record, holds
from cluster.storage import Storage, check_schema

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 1
TRIALS = "trials.parquet"
REPORTS = "reports.parquet"
INTERVAL_SECONDS = 10.0
PART_ROWS = 5000
# Writing the whole table takes longer as it grows; it gets this share of the time at most.
WRITING_SHARE = 0.02

_ROW = tuple[str, Callable[[TrialRow], Any], str]
_COLUMNS: tuple[_ROW, ...] = (
    ("trial_id", lambda row: row.trial_id, "string"),
    ("attempts", lambda row: row.attempts, "int64"),
    ("status", lambda row: row.status, "string"),
    ("source", lambda row: row.source, "string"),
    ("mode", lambda row: row.mode, "string"),
    ("parent_id", lambda row: row.parent_id, "string"),
    ("group", lambda row: row.group, "string"),
    ("seed", lambda row: row.seed, "uint64"),
    ("fidelity", lambda row: row.fidelity, "int64"),
    ("steps", lambda row: row.steps, "int64"),
    ("candidate_id", lambda row: row.candidate.id, "string"),
    ("asked", lambda row: _microseconds(row.asked), "time"),
    ("started", lambda row: _microseconds(row.started), "time"),
    ("ended", lambda row: _microseconds(row.ended), "time"),
    ("seconds", lambda row: row.cost.get("seconds"), "float64"),
    ("device_seconds", lambda row: row.cost.get("device_seconds"), "float64"),
    ("reason", lambda row: row.reason, "string"),
)


class Tables:
    """Writes both tables while a search runs.

    The first is written whole. Reports gather and become a part, whose name says which records of the journal it goes
    over. What was not written when a driver died is read from the journal again.

    Args:
        storage: The storage of the search.
        interval: Least time between two writings, in seconds.
    """

    def __init__(self, storage: Storage, interval: float = INTERVAL_SECONDS) -> None:
        self.history = History()
        self._storage = storage
        self._interval = interval
        self._reader = JournalReader(storage)
        self._reports: list[Record] = []
        self._due = -math.inf
        self._changed = True
        self._done = _parts_end(storage)

    def update(self, now: bool = False) -> bool:
        """Read what is new in the journal, and write, when it is time.

        Args:
            now: Write whatever the time.

        Returns:
            Whether something was written.
        """
        if not now and time.monotonic() < self._due:
            return False
        import pyarrow.parquet  # noqa: F401 - the first time it takes long, which says nothing of the writing

        began = time.monotonic()
        for record in self._reader.poll():
            self._changed = True
            if self.history.apply(record) and record.kind == "reported" and record.offset >= self._done:
                self._reports.append(record)
        if len(self._reports) >= PART_ROWS or (now and self._reports):
            self._write_part()
        wrote = self._changed
        if wrote:
            _write(self._storage, TRIALS, trials_table(self.history.trials.values()))
        self._changed = False
        ended = time.monotonic()
        self._due = ended + max(self._interval, (ended - began) / WRITING_SHARE)
        return wrote

    def close(self) -> None:
        """Write the last state of both tables."""
        self.update(now=True)

    def _write_part(self) -> None:
        cursor = self._reader.cursor
        name = f"{REPORTS}/{self._done:012d}-{cursor.offset:012d}.parquet"
        _write(self._storage, name, reports_table(self._reports), check=cursor.check)
        self._done = cursor.offset
        self._reports.clear()


def trials_table(rows: Iterable[TrialRow]) -> pa.Table:
    """One row a trial, in the order of `rows`; `p:` and `m:` columns sorted by name."""
    import pyarrow as pa

    rows = list(rows)
    types = {"time": pa.timestamp("us", tz="UTC")}
    columns = {
        name: pa.array([read(row) for row in rows], types.get(kind) or pa.type_for_alias(kind))
        for name, read, kind in _COLUMNS
    }
    for path in sorted({path for row in rows for path in row.candidate}):
        columns[f"p:{path}"] = _values(
            [(row.candidate[path],) if path in row.candidate else () for row in rows],
        )
    for metric in sorted({metric for row in rows for metric in row.metrics}):
        columns[f"m:{metric}"] = pa.array([row.metrics.get(metric) for row in rows], pa.float64())
    return pa.table(columns)


def reports_table(records: Sequence[Record]) -> pa.Table:
    """One row a report: trial_id, attempt, step, time, verdict and a column `m:METRIC` a metric."""
    import pyarrow as pa

    fields = [record.fields for record in records]
    columns = {
        "trial_id": pa.array([entry["trial"] for entry in fields], pa.string()),
        "attempt": pa.array([entry["attempt"] for entry in fields], pa.int64()),
        "step": pa.array([entry["step"] for entry in fields], pa.int64()),
        "time": pa.array([_microseconds(entry["time"]) for entry in fields], pa.timestamp("us", tz="UTC")),
        "verdict": pa.array([entry["verdict"] for entry in fields], pa.string()),
    }
    for metric in sorted({metric for entry in fields for metric in entry["metrics"]}):
        columns[f"m:{metric}"] = pa.array([entry["metrics"].get(metric) for entry in fields], pa.float64())
    return pa.table(columns)


def load_trials(storage: Storage) -> pa.Table:
    """The trials of a search as they stand in its journal this moment."""
    history = History()
    for record in JournalReader(storage).poll():
        history.apply(record)
    return trials_table(history.trials.values())


def load_reports(storage: Storage) -> pa.Table:
    """All parts of the reports' table as one; a metric that a part does not know is null there."""
    import pyarrow as pa

    parts = [_read(storage, f"{REPORTS}/{name}") for name in storage.list(REPORTS)]
    return pa.concat_tables(parts, promote_options="default") if parts else reports_table([])


def read_trials(storage: Storage) -> pa.Table:
    """The table `trials.parquet` as it was last written.

    Raises:
        StorageError: It has a schema that this version cannot read.
    """
    return _read(storage, TRIALS)


def _values(cells: Sequence[tuple[Any, ...]]) -> pa.Array:
    """A column of what stands at one decision point; an empty cell where the point is not active.

    Numbers, booleans, text and lists of them keep their type; a mixture becomes text, as JSON writes it.
    """
    import pyarrow as pa

    kind = _type([value for cell in cells for value in cell])
    if kind is None:
        plain = [tuple(value if isinstance(value, str) else json.dumps(value) for value in cell) for cell in cells]
        return pa.array([cell[0] if cell else None for cell in plain], pa.string())
    return pa.array([cell[0] if cell else None for cell in cells], kind)


def _type(values: Sequence[Any]) -> pa.DataType | None:
    import pyarrow as pa

    kinds = {type(value) for value in values}
    if kinds == {tuple} or kinds == {list}:
        inner = _type([item for value in values for item in value])
        return None if inner is None else pa.list_(inner)
    if kinds == {int}:
        return pa.int64() if all(-(2**63) <= value < 2**63 for value in values) else None
    if kinds in ({float}, {int, float}):
        return pa.float64()
    if kinds == {bool}:
        return pa.bool_()
    return pa.string() if kinds in ({str}, set()) else None


def _microseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e6)


def _parts_end(storage: Storage) -> int:
    """Up to which record of the journal the parts go.

    When the journal has lost records that the parts hold (a power loss can do that) and goes on otherwise, the parts
    are deleted.
    """
    names = storage.list(REPORTS)
    if not names:
        return 0
    end = int(names[-1].removesuffix(".parquet").partition("-")[2])
    check = _metadata(_read(storage, f"{REPORTS}/{names[-1]}")).get("check", "")
    if holds(storage, Cursor(end, check)):
        return end
    storage.delete(REPORTS)
    return 0


def _write(storage: Storage, name: str, table: pa.Table, **metadata: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    described = {"schema": str(SCHEMA), **metadata}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(described), sink)
    storage.write_atomic(name, sink.getvalue().to_pybytes())


def _read(storage: Storage, name: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(storage.read_bytes(name)))
    found = _metadata(table).get("schema", "none")
    check_schema(int(found) if found.isdigit() else found, SCHEMA, storage.uri(name))
    return table


def _metadata(table: pa.Table) -> dict[str, str]:
    raw: Mapping[bytes, bytes] = table.schema.metadata or {}
    return {key.decode(): value.decode() for key, value in raw.items()}
