"""MLflow in the few calls that the sink makes, each of which may be repeated without doing anything twice."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# What MLflow takes in one run, and what it takes as a name, is bounded.
MAX_PARAMS = 100
_MAX_NAME = 250
_MAX_VALUE = 5000
_FORBIDDEN = re.compile(r"[^/A-Za-z0-9_.\- ]")

SEARCH_TAG = "deepspace.search_id"
TRIAL_TAG = "deepspace.trial_id"
PARENT_TAG = "mlflow.parentRunId"

# The sink repeats failed calls itself, after it has looked whether they did come through.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # MLflow fetches a run before it ends it, only to print its address.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
_REJECTIONS = (
    "INVALID_PARAMETER_VALUE",
    "INVALID_STATE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "BAD_REQUEST",
    "NOT_FOUND",
)

Point = tuple[str, float, int, int]
"""One value of a metric: name, value, milliseconds since 1970, step."""


def clean_names(names: Iterable[str]) -> dict[str, str]:
    """The names by which MLflow knows parameters and metrics, one for each of `names`, all different."""
    cleaned: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        parts = [part if part.strip(".") else "_" for part in _FORBIDDEN.sub("_", name).split("/")]
        base = "/".join(parts)
        if len(base) > _MAX_NAME - 10:
            base = f"{base[: _MAX_NAME - 20]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        candidate, number = base, 2
        while candidate in taken:
            candidate, number = f"{base}-{number}", number + 1
        taken.add(candidate)
        cleaned[name] = candidate
    return cleaned


def rejected(error: Exception) -> bool:
    """Whether MLflow has understood the call and will never take it: repeating it is of no use."""
    return getattr(error, "error_code", None) in _REJECTIONS


class RunStore:
    """The runs of one experiment.

    Args:
        tracking: URI of an MLflow store or server.
        experiment: Name of the experiment; made when it is not there.
    """

    def __init__(self, tracking: str, experiment: str) -> None:
        os.environ.update(_ENVIRONMENT)
        if "://" not in tracking or tracking.startswith("file:"):
            os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
        import mlflow
        from mlflow.entities import Metric, Param, RunTag

        mlflow.autolog(disable=True)
        self._entities = (Metric, Param, RunTag)
        self._database = local_database(tracking)
        with _alone(tracking):
            self._client = mlflow.MlflowClient(tracking_uri=tracking)
            self.experiment_id = self._experiment(tracking, experiment)

    def parent(self, search_id: str, name: str, time: int) -> str:
        """The run of a search, found by its tag or made.

        Args:
            search_id: Tells the search from all others, of the same name too.
            name: Of the run.
            time: When the search began, in milliseconds since 1970.
        """
        found = self._client.search_runs([self.experiment_id], f"tags.`{SEARCH_TAG}` = '{search_id}'", max_results=1)
        if found:
            return str(found[0].info.run_id)
        tags = {SEARCH_TAG: search_id, "deepspace.search": name}
        return str(self._client.create_run(self.experiment_id, time, tags, name).info.run_id)

    def status_of(self, run_id: str) -> str:
        """What a run is doing: RUNNING, FINISHED, FAILED or KILLED."""
        return str(self._client.get_run(run_id).info.status)

    def children(self, parent: str) -> dict[str, tuple[str, str]]:
        """Trial id -> run id and status of the runs below a parent."""
        found: dict[str, tuple[str, str]] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id], f"tags.`{PARENT_TAG}` = '{parent}'", max_results=1000, page_token=token
            )
            for run in page:
                found[run.data.tags.get(TRIAL_TAG, "")] = (run.info.run_id, run.info.status)
            token = page.token
            if not token:
                return found

    def child(self, parent: str, trial_id: str, time: int, tags: Mapping[str, str]) -> str:
        """Make the run of a trial.

        Args:
            parent: Run of the search.
            trial_id: Name of the run.
            time: When the trial began, in milliseconds since 1970.
            tags: What else is known of it.
        """
        all_tags = {PARENT_TAG: parent, TRIAL_TAG: trial_id, **tags}
        return str(self._client.create_run(self.experiment_id, time, all_tags, trial_id).info.run_id)

    def log(
        self,
        run_id: str,
        metrics: Sequence[Point] = (),
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Send metrics, parameters and tags in as few calls as MLflow allows.

        Args:
            run_id: The run.
            metrics: Values by step.
            params: At most `MAX_PARAMS`; the same value again is no error.
            tags: Taken over from what was there.
        """
        metric, param, tag = self._entities
        names = clean_names(dict.fromkeys(point[0] for point in metrics))
        kept = dict(list((params or {}).items())[:MAX_PARAMS])
        spelled = clean_names(kept)
        self._client.log_batch(
            run_id,
            [metric(names[name], value, time, step) for name, value, time, step in metrics],
            [param(spelled[name], str(value)[:_MAX_VALUE]) for name, value in kept.items()],
            [tag(name, value[:_MAX_VALUE]) for name, value in (tags or {}).items()],
        )

    def add_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        """Send the parameters that a run does not have yet: what was sent once cannot change."""
        there = self._client.get_run(run_id).data.params
        spelled = clean_names(params)
        self.log(run_id, params={name: value for name, value in params.items() if spelled[name] not in there})

    def status(self, run_id: str, status: str, time: int | None = None) -> None:
        """Set what a run is doing.

        Args:
            run_id: The run.
            status: RUNNING, FINISHED, FAILED or KILLED.
            time: When it ended, in milliseconds since 1970; not for RUNNING.
        """
        if status == "RUNNING":
            self._client.update_run(run_id, status=status)
        else:
            self._client.set_terminated(run_id, status, time)

    def upload(self, run_id: str, name: str, data: bytes) -> None:
        """Keep `data` as artifact `name` of a run."""
        folder, _, base = name.rpartition("/")
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / base
            file.write_bytes(data)
            self._client.log_artifact(run_id, str(file), folder or None)

    def settle(self) -> None:
        """Bring what stands in the log of a local database into its file, which may be moved from now on."""
        if self._database is not None:
            with closing(sqlite3.connect(self._database, timeout=20.0)) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _experiment(self, tracking: str, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name, _artifacts(tracking, name)))
            except Exception as error:
                # Another search has made it in the meantime.
                if not rejected(error):
                    raise
                found = self._client.get_experiment_by_name(name)
        if found is None:
            raise RuntimeError(f"experiment {name!r} can neither be made nor found")
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def _artifacts(tracking: str, experiment: str) -> str | None:
    """Where the artifacts of an experiment lie: beside a local database, not wherever the command was typed."""
    if not tracking.startswith("sqlite:///"):
        return None
    folder = Path(urlsplit(tracking).path[1:]).absolute().parent / "mlartifacts"
    return str(folder / next(iter(clean_names([experiment.replace("/", "_")]).values())))


def local_database(tracking: str) -> str | None:
    """Returns the file of an SQLite store, or None."""
    return urlsplit(tracking).path[1:] if tracking.startswith("sqlite:///") else None


@contextmanager
def _alone(tracking: str) -> Iterator[None]:
    """Searches that begin at once on an empty local database make its tables one after another.

    The database keeps a write-ahead log: MLflow commits six times a trial, which then syncs once each, not thrice.
    """
    file = local_database(tracking)
    if file is None:
        yield
        return
    key = hashlib.sha256(tracking.encode()).hexdigest()[:16]
    with open(Path(tempfile.gettempdir()) / f"deepspace-{os.getuid()}-{key}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # A file system that cannot do it keeps the mode it had.
        with closing(sqlite3.connect(file, timeout=20.0)) as database:
            database.execute("PRAGMA journal_mode=WAL")
        yield
