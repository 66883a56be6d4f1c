import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from cluster import ui
from cluster.preflight import listen_free
from cluster.ui import experiment_id, link, serve
from search_spaces.errors import SpecError


def test_a_link_opens_the_runs_of_an_experiment() -> None:
    assert link("http://h:1/", "7") == "http://h:1/#/experiments/7/runs?workflowType=machine_learning"
    assert link("http://h:1/", None) == "http://h:1"


def test_a_store_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no tracking store here"):
        serve(f"sqlite:///{tmp_path}/mlflow.db", None)


def test_a_server_that_does_not_answer_is_refused_before_mlflow_asks_it_for_minutes() -> None:
    began = time.monotonic()
    with pytest.raises(SpecError) as caught:
        serve(f"http://127.0.0.1:{listen_free('127.0.0.1', 20500)}", None)
    assert time.monotonic() - began < 2
    assert str(caught.value).startswith("tracking/uri: the tracking server 127.0.0.1:")
    assert str(caught.value).endswith("allowed a server that runs, or another --tracking URI")


@pytest.fixture
def store(tmp_path: Path) -> str:
    (tmp_path / "mlflow.db").touch()
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_what_is_no_port_is_refused(store: str, port: int) -> None:
    with pytest.raises(SpecError, match=f"^--port: this is no port; got {port}; allowed 1 to 65535$"):
        serve(store, None, port)


def test_a_port_that_is_taken_is_refused(store: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(SpecError, match=f"^--port: this port is not free; got {port}; allowed another port"):
            serve(store, None, port)


def test_a_server_that_ended_is_told_instead_of_a_link(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    monkeypatch.setattr(ui, "experiment_id", lambda uri, name: None)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SpecError, match="the MLflow server ended before it answered .exit code 1.; got 'sqlite"):
        serve(store, None)
    assert capsys.readouterr().out == ""
    assert signal.getsignal(signal.SIGTERM) is before


def processes(word: str) -> list[str]:
    """The command lines in which a word stands."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found += [text for text in [file.read_bytes().decode().replace("\0", " ")] if word in text]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_the_pages_are_served_for_this_machine_until_a_signal_ends_them_all(
    tmp_path: Path, number: signal.Signals
) -> None:
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    made = MlflowClient(tracking_uri=uri).create_experiment("digits")
    assert experiment_id(uri, "digits") == made
    assert experiment_id(uri, "other") is None
    port = listen_free("127.0.0.1", 21000)
    command = [sys.executable, "-m", "cluster.cli", "ui", "--tracking", uri, "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert server.stdout is not None
        printed = server.stdout.readline().strip()
        assert printed == f"http://127.0.0.1:{port}/#/experiments/{made}/runs?workflowType=machine_learning"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            assert answer.status == 200
        listening = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True).stdout
        assert f"0.0.0.0:{port}" not in listening and f"*:{port}" not in listening
        assert len(processes(f"--port {port}")) > 1
    finally:
        os.kill(server.pid, number)
        assert server.wait(60) == 0
    assert processes(f"--port {port}") == []
