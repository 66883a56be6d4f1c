"""MLflow stores for the tests: a database as MLflow makes it, made once and copied."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

_made: dict[int, Path] = {}


def database(folder: Path, scratch: Path) -> str:
    """URI of a fresh MLflow database in `folder`; the first one made lies in `scratch`, the rest are copies."""
    from cluster.mlflow_store import RunStore

    if os.getpid() not in _made:
        RunStore(f"sqlite:///{scratch}/mlflow.db", "template")
        _made[os.getpid()] = scratch / "mlflow.db"
    return copied(_made[os.getpid()], folder)


def copied(file: Path, folder: Path) -> str:
    """URI of a copy of a database in `folder`; a part of the original may still stand in its log."""
    with closing(sqlite3.connect(file)) as original, closing(sqlite3.connect(folder / "mlflow.db")) as copy:
        original.backup(copy)
    return f"sqlite:///{folder}/mlflow.db"


def client(uri: str) -> Any:
    """MLflow's own client, to look at what is there."""
    import mlflow

    return mlflow.MlflowClient(tracking_uri=uri)


def runs(uri: str, experiment: str) -> tuple[Any, dict[str, Any]]:
    """The one parent run of an experiment, and its children by trial id."""
    looked = client(uri)
    found = looked.search_runs([looked.get_experiment_by_name(experiment).experiment_id], max_results=1000)
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in found if "mlflow.parentRunId" in run.data.tags]
    assert len(parents) == 1
    assert {run.data.tags["mlflow.parentRunId"] for run in children} <= {parents[0].info.run_id}
    by_trial = {run.data.tags["deepspace.trial_id"]: run for run in children}
    assert len(by_trial) == len(children)
    return parents[0], by_trial


def points(uri: str, run: Any, metric: str) -> list[tuple[int, float, int]]:
    """Step, value and milliseconds of every point of a metric."""
    history = client(uri).get_metric_history(run.info.run_id, metric)
    return sorted((point.step, point.value, point.timestamp) for point in history)


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(uri: str, folder: Path, port: int) -> Iterator[str]:
    """A real MLflow server on 127.0.0.1; ends with everything that it started."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--artifacts-destination", str(folder / "served")]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
    with open(folder / "server.txt", "ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 50
        while not _answers(address):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "server.txt").read_text()[-2000:]
            time.sleep(0.1)
        yield address
    finally:
        # The group is the server's own: its worker processes go with it.
        os.killpg(process.pid, 15)
        process.wait(20)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
