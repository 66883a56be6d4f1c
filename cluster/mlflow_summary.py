"""What the sink says of a search in MLflow's terms: parameters, the closing note, the files."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cluster.history import TrialRow
from cluster.mlflow_store import MAX_PARAMS
from cluster.pictures import ARTIFACTS, CURVES
from cluster.standing import Standing, number_text
from cluster.storage import Storage
from cluster.tables import trials_table

if TYPE_CHECKING:
    import pyarrow as pa

Artifact = tuple[str | None, str, bytes]
"""Trial id (None for the search), name, content."""
_BEST = 10
_FRONT = 30
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

        def table(rows: Sequence[TrialRow]) -> None:
            lines.extend([f"| trial | {' | '.join(names)} | steps |", f"|---|{'---|' * len(names)}---|"])
            for row in rows:
                link = f"#/experiments/{experiment_id}/runs/{runs[row.trial_id]}" if row.trial_id in runs else ""
                shown = f"[{row.trial_id}]({link})" if link else row.trial_id
                values = [number_text(standing.value(row, objective)) for objective in standing.objectives]
                lines.append(f"| {shown} | {' | '.join(values)} | {row.steps} |")

        table(standing.ranked()[:_BEST])
        if len(names) > 1:
            front = _front(standing)
            lines += ["", f"Pareto front, {len(front)} trials:", ""]
            table(front[:_FRONT])
    return "\n".join(lines)


def _front(standing: Standing) -> list[TrialRow]:
    """The trials that no other dominates, the best by the first objective first."""
    place = {row.trial_id: number for number, row in enumerate(standing.ranked())}
    return sorted(standing.front, key=lambda row: place.get(row.trial_id, len(place)))


def artifacts(storage: Storage, standing: Standing) -> Iterator[Artifact]:
    """The files that go to MLflow at the end of a search.

    The tables of all trials and of the Pareto front, and `best/` and `report/` in the storage, go to the search's run;
    what describes the best trial to its own run too.

    Args:
        storage: Of the search.
        standing: The search.

    Yields:
        Trial id (None for the search), name of the artifact, content.
    """
    yield from ((None, name, data) for name, data in _tables(standing))
    for folder in ("best", CURVES):
        for name in storage.list(folder):
            data = _file(storage, f"{folder}/{name}")
            if data is not None:
                yield None, f"{folder}/{name}", data
            if data is not None and folder == "best" and standing.best is not None and not name.endswith(_WEIGHTS):
                yield standing.best.trial_id, name, data


def trial_artifacts(storage: Storage, trial_id: str) -> Iterator[Artifact]:
    """The files that go to the run of a trial when it has ended: what lies in `artifacts/TRIAL/`.

    Args:
        storage: Of the search.
        trial_id: The trial.

    Yields:
        As `artifacts`.
    """
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
    """The tables of all trials, for programs and for MLflow's own page, and of the Pareto front."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = trials_table(standing.rows)
    parquet = io.BytesIO()
    pq.write_table(table, parquet)
    yield "trials.parquet", parquet.getvalue()
    yield "trials.csv", _csv(table)
    front = _front(standing)
    if front:
        table = trials_table(front)
        for number, objective in enumerate(standing.objectives, 1):
            # What counted, which need not be the last value: `of` decides.
            values = pa.array([standing.value(row, objective) for row in front], pa.float64())
            table = table.add_column(number, f"told:{objective.metric}", values)
        yield "pareto_front.csv", _csv(table)


def _csv(table: pa.Table) -> bytes:
    import pyarrow as pa
    import pyarrow.csv

    plain = {
        name: pa.array([None if cell is None else json.dumps(cell) for cell in column.to_pylist()], pa.string())
        if pa.types.is_list(column.type)
        else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    text = io.BytesIO()
    pyarrow.csv.write_csv(pa.table(plain), text)
    return text.getvalue()


def _text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, tuple | list) else value
