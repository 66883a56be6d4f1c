import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster import mlflow_process
from cluster.journal import Journal
from cluster.mlflow_process import STATE, SinkProcess, read_state
from cluster.storage import StorageError
from tests.cluster import samples, stores


def test_the_state_of_a_sink_is_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = samples.storage(tmp_path)
    assert read_state(storage) == {}
    storage.write_atomic(STATE, b'{"schema": 1, "run_id": "abc"}')
    assert read_state(storage) == {"run_id": "abc"}
    monkeypatch.setattr(mlflow_process, "STATE_SCHEMA", 3)
    with pytest.raises(StorageError, match=r"mlflow_offset.json: schema .*got 1"):
        read_state(storage)


def test_nothing_here_imports_mlflow() -> None:
    code = "import sys, cluster.mlflow_process; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_the_sink_is_warm_follows_and_drains(tmp_path: Path) -> None:
    storage = samples.storage(tmp_path / "run")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    sink = SinkProcess(storage, uri, "digits", "sample", tmp_path / "run" / "logs" / "mlflow.txt")
    assert not sink.wait_ready(1.0)
    journal = Journal.open(storage, samples.HEADER)
    assert sink.wait_ready(50) and sink.running
    assert read_state(storage)["run_id"] == stores.runs(uri, "digits")[0].info.run_id
    samples.run_trial(journal, 0)
    deadline = time.monotonic() + 20
    while "t000000" not in stores.runs(uri, "digits")[1]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    for number in range(1, 20):
        samples.run_trial(journal, number)
    journal.append("end", reason="budget.trials")
    journal.close()
    assert sink.drain(50) and not sink.running
    assert sink.summary.startswith("MLflow: 20 trials sent, ") and sink.summary.endswith(" a second")
    parent, children = stores.runs(uri, "digits")
    assert parent.info.status == "FINISHED" and len(children) == 20
    assert (tmp_path / "run" / "logs" / "mlflow.txt").read_text() == ""


@pytest.mark.slow
def test_a_search_that_is_refused_leaves_no_run(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    storage = samples.storage(tmp_path / "run")
    uri = stores.database(tmp_path, tmp_path_factory.mktemp("template"))
    sink = SinkProcess(storage, uri, "digits", "sample", tmp_path / "mlflow.txt")
    looked = stores.client(uri)
    deadline = time.monotonic() + 50
    while (experiment := looked.get_experiment_by_name("digits")) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not sink.wait_ready(2.0)
    assert sink.drain(50) and sink.summary.startswith("MLflow: 0 trials sent, ")
    assert looked.search_runs([experiment.experiment_id]) == [] and read_state(storage) == {}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_killed_at_random_the_sink_loses_and_doubles_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    generator = random.Random(5)
    storage = samples.storage(tmp_path / "run")
    uri = stores.database(tmp_path, tmp_path_factory.mktemp("template"))
    journal = Journal.open(storage, samples.HEADER)
    for number in range(40):
        samples.run_trial(journal, number, steps=3)
    journal.append("end", reason="budget.trials")
    journal.close()
    log = tmp_path / "run" / "logs" / "mlflow.txt"
    for _ in range(5):
        sink = SinkProcess(storage, uri, "digits", "sample", log)
        assert sink.wait_ready(50)
        time.sleep(generator.uniform(0.0, 0.3))
        os.kill(sink.pid, signal.SIGKILL)
        assert not sink.drain(10)
    assert SinkProcess(storage, uri, "digits", "sample", log).drain(100), log.read_text()
    parent, children = stores.runs(uri, "digits")
    assert parent.info.status == "FINISHED" and len(children) == 40
    for number in range(40):
        run = children[f"t{number:06d}"]
        steps = [(step, value) for step, value, _ in stores.points(uri, run, "val/accuracy")]
        assert steps == [(step, samples.accuracy(number, step)) for step in (1, 2, 3)]
        assert run.info.status == "FINISHED" and len(run.data.params) == len(samples.trial(number).candidate)


DRIVER = """
import sys, time
from cluster.journal import Journal
from cluster.mlflow_process import SinkProcess
from cluster.storage import Storage
from tests.cluster import samples
storage = Storage.open(sys.argv[1])
sink = SinkProcess(storage, sys.argv[2], "digits", "sample", sys.argv[3])
journal = Journal.open(storage, samples.HEADER)
assert sink.wait_ready(50)
samples.run_trial(journal, 0)
samples.ask(journal, samples.trial(1))
samples.start(journal, 1)
print(sink.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_a_driver_that_is_killed_takes_its_sink_along_after_the_rest_is_sent(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    storage = samples.storage(tmp_path / "run")
    uri = stores.database(tmp_path, tmp_path_factory.mktemp("template"))
    log = tmp_path / "mlflow.txt"
    command = [sys.executable, "-c", DRIVER, str(tmp_path / "run"), uri, str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        pid = int(driver.stdout.readline())
        driver.kill()
    # A sink that starts meanwhile waits for the one before.
    second = SinkProcess(storage, uri, "digits", "sample", log)
    assert second.drain(50), log.read_text()
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}/stat") and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent, children = stores.runs(uri, "digits")
    assert {trial: run.info.status for trial, run in children.items()} == {"t000000": "FINISHED", "t000001": "RUNNING"}
    assert parent.info.status == "RUNNING"
