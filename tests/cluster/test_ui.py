import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from cluster.preflight import listen_free
from cluster.ui import experiment_id, link, serve
from search_spaces.errors import SpecError


def test_a_link_opens_the_runs_of_an_experiment() -> None:
    assert link("http://h:1/", "7") == "http://h:1/#/experiments/7/runs?workflowType=machine_learning"
    assert link("http://h:1/", None) == "http://h:1"


def test_a_store_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no tracking store here"):
        serve(f"sqlite:///{tmp_path}/mlflow.db", None)


@pytest.mark.slow
def test_the_pages_are_served_for_this_machine_and_the_link_is_printed(tmp_path: Path) -> None:
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
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(60)
