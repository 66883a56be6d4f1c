"""What the sink says of a search in MLflow's terms: parameters, the closing note, the files."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from cluster.history import TrialRow
from cluster.mlflow_store import MAX_PARAMS
from cluster.standing import Standing, number_text
from cluster.storage import Storage
from cluster.tables import trials_table

ARTIFACTS = "artifacts"
_BEST = 10
_MAX_BYTES = 100_000_000
_WEIGHTS = ".safetensors"
# What has pages of its own, or may change at a resume, is no parameter.
_NO_PARAMS = ("schema", "space", "tracking", "storage", "budget", "resources")


def trial_params(row: TrialRow) -> dict[str, Any]:
    """The decisions of a trial; of too many, those higher up in the space."""
    paths = sorted(row.candidate, key=lambda path: path.count("/"))[:MAX_PARAMS]
    return {path: _text(row.candidate[path]) for path in sorted(paths)}


def search_params(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a search file says, flat; the space and what may change at a resume left out."""
    flat: dict[str, Any] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                walk(item, f"{path}/{key}" if path else str(key))
        elif value is not None:
            flat[path] = _text(value)

    walk({key: value for key, value in data.items() if key not in _NO_PARAMS}, "")
    return dict(list(flat.items())[:MAX_PARAMS])


def note(standing: Standing, experiment_id: str, runs: Mapping[str, str]) -> str:
    """The best trials as a table with links to their runs, in Markdown: the description of the parent run.

    Args:
        standing: The search.
        experiment_id: Where the runs lie.
        runs: Trial id -> run id.
    """
    counts = ", ".join(f"{number} {status.lower()}" for status, number in sorted(standing.counts.items()))
    lines = [f"{len(standing.rows)} trials: {counts}.", ""]
    if standing.objectives:
        names = [objective.metric for objective in standing.objectives]
        lines += [f"| trial | {' | '.join(names)} | steps |", f"|---|{'---|' * len(names)}---|"]
        for row in standing.ranked()[:_BEST]:
            link = f"#/experiments/{experiment_id}/runs/{runs[row.trial_id]}" if row.trial_id in runs else ""
            shown = f"[{row.trial_id}]({link})" if link else row.trial_id
            values = [number_text(standing.value(row, objective)) for objective in standing.objectives]
            lines.append(f"| {shown} | {' | '.join(values)} | {row.steps} |")
    return "\n".join(lines)


def artifacts(storage: Storage, standing: Standing) -> Iterator[tuple[str | None, str, bytes]]:
    """The files that go to MLflow at the end of a search.

    `best/` and `report/` in the storage go to the search's run, what describes the best trial to its own run too;
    `artifacts/TRIAL/` goes to that trial's run.

    Args:
        storage: Of the search.
        standing: The search.

    Yields:
        Trial id (None for the search), name of the artifact, content.
    """
    yield from ((None, name, data) for name, data in _tables(standing))
    for folder in ("best", "report"):
        for name in storage.list(folder):
            data = _file(storage, f"{folder}/{name}")
            if data is not None:
                yield None, f"{folder}/{name}", data
            if data is not None and folder == "best" and standing.best is not None and not name.endswith(_WEIGHTS):
                yield standing.best.trial_id, name, data
    for trial_id in storage.list(ARTIFACTS):
        for name in storage.list(f"{ARTIFACTS}/{trial_id}"):
            data = _file(storage, f"{ARTIFACTS}/{trial_id}/{name}")
            if data is not None:
                yield trial_id, name, data


def _file(storage: Storage, name: str) -> bytes | None:
    try:
        data = storage.read_bytes(name)
    except OSError:
        # A folder, or a file that went in the meantime.
        return None
    return data if len(data) <= _MAX_BYTES else None


def _tables(standing: Standing) -> Iterator[tuple[str, bytes]]:
    """The table of all trials, for programs and for MLflow's own page."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    table = trials_table(standing.rows)
    parquet = io.BytesIO()
    pq.write_table(table, parquet)
    yield "trials.parquet", parquet.getvalue()
    plain = {
        name: pa.array([None if cell is None else json.dumps(cell) for cell in column.to_pylist()], pa.string())
        if pa.types.is_list(column.type)
        else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    text = io.BytesIO()
    pyarrow.csv.write_csv(pa.table(plain), text)
    yield "trials.csv", text.getvalue()


def _text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, tuple | list) else value
