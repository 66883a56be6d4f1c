"""The sink against a real MLflow server: it goes away in the middle, comes back, and has everything."""

import time
from pathlib import Path

import pytest

from cluster.journal import Journal
from cluster.mlflow_process import SinkProcess
from tests.cluster import samples, stores

TRIALS = 24


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_server_that_goes_away_is_waited_for_and_nothing_is_lost(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    storage = samples.storage(tmp_path / "run")
    database = stores.database(tmp_path, tmp_path_factory.mktemp("template"))
    port = stores.free_port()
    log = tmp_path / "run" / "logs" / "mlflow.txt"
    journal = Journal.open(storage, samples.HEADER)
    with stores.server(database, tmp_path, port) as address:
        sink = SinkProcess(storage, address, "digits", "sample", log)
        assert sink.wait_ready(60)
        for number in range(TRIALS // 2):
            samples.run_trial(journal, number, steps=3)
        deadline = time.monotonic() + 60
        while len(stores.runs(database, "digits")[1]) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    for number in range(TRIALS // 2, TRIALS):
        samples.run_trial(journal, number, steps=3)
    storage.write_atomic("best/architecture.json", b"{}")
    journal.append("end", reason="budget.trials")
    journal.close()
    time.sleep(2.0)
    assert sink.running
    with stores.server(database, tmp_path, port) as address:
        assert sink.drain(90), log.read_text()
        parent, children = stores.runs(address, "digits")
        assert parent.info.status == "FINISHED" and len(children) == TRIALS
        for number in range(TRIALS):
            run = children[f"t{number:06d}"]
            found = [(step, value) for step, value, _ in stores.points(address, run, "val/accuracy")]
            assert found == [(step, samples.accuracy(number, step)) for step in (1, 2, 3)]
            assert run.info.status == "FINISHED"
        files = [file.path for file in stores.client(address).list_artifacts(parent.info.run_id)]
        assert files == ["best", "pareto_front.csv", "trials.csv", "trials.parquet"]
    assert "MLflow is away, waiting" in log.read_text()
