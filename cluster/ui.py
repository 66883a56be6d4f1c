"""MLflow's pages on the store in use, for this machine alone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cluster.preflight import check_store, listen_free
from cluster.searchfile import local_store
from search_spaces.errors import SpecError

HOST = "127.0.0.1"
PORT = 5000
START_SECONDS = 60.0
END_SECONDS = 5.0
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
    if path is None:
        _check_reached(uri)
    elif not path.exists():
        raise SpecError("no tracking store here", uri, "--tracking URI, or NAME of a search")
    if uri.startswith("http"):
        print(link(uri, experiment_id(uri, experiment)))
        return 0
    chosen = listen_free(HOST, PORT) if port is None else _free(port)
    shown = link(f"http://{HOST}:{chosen}", experiment_id(uri, experiment))
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", HOST]
    command += ["--port", str(chosen), "--workers", "1", "--uvicorn-opts", "--log-level warning"]
    try:
        with _server(command) as server:
            _wait(server, chosen)
            if server.poll() is not None:
                rule = f"the MLflow server ended before it answered (exit code {server.returncode})"
                raise SpecError(rule, uri, "a store that it can open; what it said stands above", "--tracking")
            print(f"{shown}\nCtrl-C ends it.", flush=True)
            return server.wait()
    except KeyboardInterrupt:
        return 0


def _check_reached(uri: str) -> None:
    try:
        check_store(uri)
    except SpecError as error:
        raise SpecError(error.rule, error.got, "a server that runs, or another --tracking URI", error.path) from None


def _free(port: int) -> int:
    if not 1 <= port <= 65535:
        raise SpecError("this is no port", port, "1 to 65535", "--port")
    try:
        return listen_free(HOST, port, 1)
    except SpecError:
        way = f"another port, or no --port: the first free one from {PORT} on"
        raise SpecError("this port is not free", port, way, "--port") from None


@contextmanager
def _server(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The server in a process group of its own, which ends as a whole, by SIGTERM and a closed terminal too."""
    # What MLflow says of itself goes nowhere; what goes wrong is still seen.
    silent = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING", "PYTHONWARNINGS": "ignore"}
    quiet = {**os.environ, **silent}
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        server = subprocess.Popen(command, env=quiet, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            yield server
        finally:
            _end(server)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(server: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
        try:
            deadline = time.monotonic() + END_SECONDS
            while time.monotonic() < deadline:
                server.poll()  # a leader that is not waited for stays in its group
                os.killpg(server.pid, 0)
                time.sleep(0.05)
        finally:
            os.killpg(server.pid, signal.SIGKILL)
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
