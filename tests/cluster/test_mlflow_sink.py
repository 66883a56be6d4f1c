import io
from pathlib import Path

import pytest

from cluster import mlflow_sender, mlflow_sink
from cluster.journal import Journal
from cluster.mlflow_process import read_state
from tests.cluster import samples, stores


@pytest.fixture(autouse=True)
def nothing_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_sink.os, "nice", lambda by: 0)
    monkeypatch.setattr(mlflow_sink, "_input_ended", lambda timeout: True)


def test_without_a_driver_it_sends_what_is_there_and_ends(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = samples.storage(tmp_path / "run")
    uri = stores.database(tmp_path, tmp_path_factory.mktemp("template"))
    journal = Journal.open(storage, samples.HEADER)
    for number in range(3):
        samples.run_trial(journal, number)
    journal.close()
    arguments = [storage.uri(), "--tracking", uri, "--experiment", "digits", "--name", "sample"]
    assert mlflow_sink.main(arguments) == 0
    assert capsys.readouterr().out.startswith("MLflow: 3 trials sent, ")
    assert len(stores.runs(uri, "digits")[1]) == 3
    # Nothing is left to send.
    assert mlflow_sink.main(arguments) == 0
    assert capsys.readouterr().out == "MLflow: 0 trials sent, 0.0 a second\n"
    assert read_state(storage)["offset"] == 15


def test_it_says_when_not_all_was_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storage = samples.storage(tmp_path / "run")
    Journal.open(storage, samples.HEADER).close()
    arguments = [storage.uri(), "--tracking", f"http://127.0.0.1:{stores.free_port()}", "--experiment", "digits"]
    assert mlflow_sink.main([*arguments, "--name", "sample", "--patience", "0.3"]) == 1
    assert capsys.readouterr().out == "MLflow: 0 trials sent, 0.0 a second; not all\n"


def test_the_driver_is_told_when_the_run_is_there(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = samples.storage(tmp_path / "run")
    uri = stores.database(tmp_path, tmp_path_factory.mktemp("template"))
    journal = Journal.open(storage, samples.HEADER)
    for number in range(3):
        samples.run_trial(journal, number)
    journal.close()
    monkeypatch.setattr(mlflow_sender, "BATCH_RECORDS", 5)
    pauses: list[float] = []
    monkeypatch.setattr(mlflow_sink, "_input_ended", lambda timeout: pauses.append(timeout) or len(pauses) > 4)
    assert mlflow_sink.main([storage.uri(), "--tracking", uri, "--experiment", "digits", "--name", "sample"]) == 0
    parent, _ = stores.runs(uri, "digits")
    assert capsys.readouterr().out.splitlines()[0] == f"ready {parent.info.experiment_id} {parent.info.run_id}"
    # It looks at once, goes on while there is more, and then looks once a second.
    assert pauses == [0.0, 0.0, 0.0, 1.0, 1.0]


def test_until_the_search_has_a_journal_there_is_no_run_to_be_ready(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = samples.storage(tmp_path / "run")
    uri = stores.database(tmp_path, tmp_path_factory.mktemp("template"))
    pauses: list[float] = []

    def ended(timeout: float) -> bool:
        pauses.append(timeout)
        if len(pauses) == 3:
            Journal.open(storage, samples.HEADER).close()
        return len(pauses) > 4

    monkeypatch.setattr(mlflow_sink, "_input_ended", ended)
    assert mlflow_sink.main([storage.uri(), "--tracking", uri, "--experiment", "digits", "--name", "sample"]) == 0
    assert pauses == [0.0, 0.2, 0.2, 1.0, 1.0]
    parent, _ = stores.runs(uri, "digits")
    assert capsys.readouterr().out.splitlines()[0] == f"ready {parent.info.experiment_id} {parent.info.run_id}"


def test_the_input_has_ended_when_its_writer_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    with open(tmp_path / "empty", "w+b") as empty:
        monkeypatch.setattr(mlflow_sink.sys, "stdin", io.TextIOWrapper(empty))
        assert mlflow_sink._input_ended(5.0)
