"""MLflow's pages on the store in use, for this machine alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

from cluster.preflight import listen_free
from cluster.searchfile import local_store
from search_spaces.errors import SpecError

HOST = "127.0.0.1"
PORT = 5000
START_SECONDS = 60.0
# The plain page of an experiment shows traces of language models; this one shows runs.
VIEW = "runs?workflowType=machine_learning"


def link(address: str, experiment: str | None) -> str:
    """Returns the address of an experiment's runs, or of the front page when no experiment is known.

    Args:
        address: Of the server, such as `http://127.0.0.1:5000`.
        experiment: MLflow's id of the experiment.
    """
    address = address.rstrip("/")
    return address if experiment is None else f"{address}/#/experiments/{experiment}/{VIEW}"


def experiment_id(uri: str, name: str | None) -> str | None:
    """Returns MLflow's id of an experiment, or of the one that was used last when no name is given.

    Args:
        uri: The store.
        name: The experiment's name.
    """
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    if name is not None:
        found = client.get_experiment_by_name(name)
        return None if found is None else str(found.experiment_id)
    listed = client.search_experiments(order_by=["last_update_time DESC"], max_results=1)
    return str(listed[0].experiment_id) if listed else None


def serve(uri: str, experiment: str | None, port: int | None = None) -> int:
    """Shows the pages until interrupted; a server that already runs is only pointed at.

    Args:
        uri: The store.
        experiment: Name of the experiment to open; None: the one used last.
        port: Where to listen; None: the first free one from 5000 on.

    Returns:
        The exit code.
    """
    path = local_store(uri)
    if path is None and uri.startswith("http"):
        print(link(uri, experiment_id(uri, experiment)))
        return 0
    if path is not None and not path.exists():
        raise SpecError("no tracking store here", uri, "--tracking URI, or NAME of a search")
    chosen = port if port is not None else listen_free(HOST, PORT)
    shown = link(f"http://{HOST}:{chosen}", experiment_id(uri, experiment))
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", HOST]
    command += ["--port", str(chosen), "--workers", "1", "--uvicorn-opts", "--log-level warning"]
    # What MLflow says of itself goes nowhere; what goes wrong is still seen.
    silent = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING", "PYTHONWARNINGS": "ignore"}
    quiet = {**os.environ, **silent}
    server = subprocess.Popen(command, env=quiet, stdout=subprocess.DEVNULL)
    try:
        _wait(server, chosen)
        print(f"{shown}\nCtrl-C ends it.", flush=True)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait()


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
