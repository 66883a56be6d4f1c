import json
from pathlib import Path
from typing import Any

import pytest

from cluster import mlflow_sender
from cluster.journal import Journal
from cluster.mlflow_process import STATE, read_state
from cluster.mlflow_sender import AwayError, Sink
from cluster.mlflow_store import RunStore
from cluster.storage import Storage
from controllers.trial import Status
from tests.cluster import samples, stores


@pytest.fixture
def uri(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return stores.database(tmp_path, tmp_path_factory.mktemp("template"))


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return samples.storage(tmp_path / "run")


def _sink(storage: Storage, uri: str) -> Sink:
    return Sink(storage, uri, "digits", "sample")


def _milliseconds(number: int, step: int, more: float = 0.0) -> int:
    return round((samples.moment(number, step) + more) * 1000)


def test_a_search_is_a_parent_and_a_trial_a_child(storage: Storage, uri: str) -> None:
    sink = _sink(storage, uri)
    assert sink.step()
    journal = Journal.open(storage, samples.HEADER)
    storage.write_atomic("artifacts/t000001/architecture.json", b"{}")
    samples.run_trial(journal, 1, steps=3)
    samples.ask(journal, samples.trial(2, parent_id="t000001", inherit="weights"))
    samples.start(journal, 2)
    samples.report(journal, 2, 1)
    assert sink.step()
    parent, children = stores.runs(uri, "digits")
    assert (parent.info.run_name, parent.info.status, parent.data.params["seed"]) == ("sample", "RUNNING", "7")
    first, second = children["t000001"], children["t000002"]
    assert (first.info.status, first.info.run_name) == ("FINISHED", "t000001")
    assert (first.info.start_time, first.info.end_time) == (_milliseconds(1, 0, 0.5), _milliseconds(1, 3, 0.25))
    assert first.data.params == {
        "architecture/depth": "1",
        "architecture/skips": "[0, 1]",
        "recipe/lr": "0.05",
        "recipe/mix": "mixup",
        "recipe/mix/mixup/alpha": "0.2",
        "recipe/nesterov": "False",
    }
    expected = [(step, samples.accuracy(1, step), _milliseconds(1, step)) for step in (1, 2, 3)]
    assert stores.points(uri, first, "val/accuracy") == expected
    assert stores.points(uri, first, "cost/params") == [(3, 101.0, _milliseconds(1, 3, 0.25))]
    assert first.data.metrics["time/device_seconds"] == 3.0
    tags = first.data.tags
    assert (tags["deepspace.status"], tags["deepspace.mode"]) == ("COMPLETED", "train")
    assert tags["deepspace.candidate_id"] == samples.trial(1).candidate.id
    assert not [name for name in tags if name.startswith("mlflow.source")]
    files = stores.client(uri).list_artifacts(first.info.run_id)
    assert [file.path for file in files] == ["architecture.json"]
    assert second.info.status == "RUNNING" and second.data.tags["deepspace.parent_id"] == "t000001"
    samples.report(journal, 2, 2)
    samples.tell(journal, 2, 2, Status.PRUNED)
    journal.close()
    assert sink.step() and sink.sent == 2
    _, children = stores.runs(uri, "digits")
    assert children["t000002"].info.status == "FINISHED"
    assert children["t000002"].data.tags["deepspace.status"] == "PRUNED"
    assert [point[0] for point in stores.points(uri, children["t000002"], "val/accuracy")] == [1, 2]


def test_what_did_not_train_is_a_row_of_the_parents_table(storage: Storage, uri: str, tmp_path: Path) -> None:
    journal = Journal.open(storage, samples.HEADER)
    samples.run_trial(journal, 0, status=Status.FAILED, reason="loss is nan")
    samples.run_trial(journal, 1, status=Status.CANCELLED)
    samples.ask(journal, samples.trial(2, same_as="t000000"), samples.trial(3), samples.trial(4, mode="evaluate"))
    samples.tell(journal, 2, 2, source="cache")
    samples.tell(journal, 3, 0, Status.INFEASIBLE)
    samples.start(journal, 4)
    samples.report(journal, 4, 1)
    samples.tell(journal, 4, 1)
    journal.append("final", trial="t000004", metrics={"test/accuracy": 0.75})
    storage.write_atomic("artifacts/t000000/network.svg", b"<svg/>")
    storage.write_atomic("best/architecture.json", b"{}")
    journal.append("end", reason="budget.trials")
    journal.close()
    sink = _sink(storage, uri)
    assert sink.drain(0.0)
    parent, children = stores.runs(uri, "digits")
    assert {trial: run.info.status for trial, run in children.items()} == {"t000000": "FAILED", "t000001": "KILLED"}
    assert parent.info.status == "FINISHED" and parent.info.end_time == _milliseconds(4, 1, 0.25)
    assert parent.data.tags["deepspace.end"] == "budget.trials"
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith("5 trials: 1 cancelled, 1 completed, 1 failed, 1 infeasible, 1 cached.")
    assert parent.data.metrics["test/accuracy"] == 0.75
    # Three trials ran; only the last has a value that counts.
    assert stores.points(uri, parent, "best/val/accuracy") == [(3, samples.accuracy(4, 1), _milliseconds(4, 1, 0.25))]
    looked = stores.client(uri)
    assert [file.path for file in looked.list_artifacts(parent.info.run_id)] == [
        "best",
        "pareto_front.csv",
        "trials.csv",
        "trials.parquet",
    ]
    assert [file.path for file in looked.list_artifacts(children["t000000"].info.run_id)] == ["network.svg"]


def test_the_best_so_far_runs_over_the_trials(storage: Storage, uri: str) -> None:
    journal = Journal.open(storage, samples.HEADER)
    for number, steps in enumerate((1, 3, 2, 9)):
        samples.run_trial(journal, number, steps=steps)
    journal.close()
    assert _sink(storage, uri).drain(0.0)
    parent, _ = stores.runs(uri, "digits")
    best = [samples.accuracy(0, 1), samples.accuracy(1, 3), samples.accuracy(1, 3), samples.accuracy(3, 9)]
    assert [point[:2] for point in stores.points(uri, parent, "best/val/accuracy")] == list(enumerate(best, 1))


def _everything(uri: str) -> Any:
    parent, children = stores.runs(uri, "digits")
    found = {"": (parent.data.params, stores.points(uri, parent, "best/val/accuracy"))}
    for trial, run in sorted(children.items()):
        history = {name: stores.points(uri, run, name) for name in run.data.metrics}
        info = (run.info.status, run.info.start_time, run.info.end_time)
        found[trial] = (run.data.params, history, info, run.data.tags["deepspace.status"])
    return found


@pytest.mark.parametrize("before", [pytest.param(True, marks=pytest.mark.slow), False])
@pytest.mark.parametrize(
    "method", ["child", "log", *(pytest.param(m, marks=pytest.mark.slow) for m in ("status", "upload"))]
)
def test_failing_at_any_call_and_begun_anew_nothing_is_lost_or_doubled(
    storage: Storage, uri: str, tmp_path: Path, method: str, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_sender, "BATCH_RECORDS", 7)
    journal = Journal.open(storage, samples.HEADER)
    for number in range(5):
        samples.run_trial(journal, number, steps=3)
    journal.append("end", reason="budget.trials")
    journal.close()
    plain = getattr(RunStore, method)
    countdown = [1]

    def failing(self: RunStore, *arguments: Any, **keywords: Any) -> Any:
        countdown[0] -= 1
        if countdown[0] == 0 and before:
            raise ConnectionError("away")
        answer = plain(self, *arguments, **keywords)
        if countdown[0] == 0:
            # The call came through, and its answer was lost.
            raise ConnectionError("away")
        return answer

    monkeypatch.setattr(RunStore, method, failing)
    sink = _sink(storage, uri)
    failures = 0
    for attempt in range(2, 40):
        countdown[0] = attempt
        try:
            while not sink.step():
                pass
            break
        except AwayError as error:
            assert str(error) == "away"
            failures += 1
        if attempt % 2:
            # Every other time the process dies as well.
            sink = _sink(storage, uri)
    assert failures >= 1 and sink.drain(0.0)
    monkeypatch.setattr(RunStore, method, plain)
    broken = _everything(uri)
    (tmp_path / "clean").mkdir()
    clean_uri = stores.database(tmp_path / "clean", tmp_path)
    storage.delete(STATE)
    assert _sink(storage, clean_uri).drain(0.0)
    assert broken == _everything(clean_uri) and len(broken) == 6


def test_a_resume_goes_on_in_the_same_runs(storage: Storage, uri: str) -> None:
    journal = Journal.open(storage, samples.HEADER)
    samples.run_trial(journal, 0)
    samples.ask(journal, samples.trial(1))
    samples.start(journal, 1)
    samples.report(journal, 1, 1)
    journal.append("end", reason="interrupted")
    journal.close()
    assert _sink(storage, uri).drain(0.0)
    parent, children = stores.runs(uri, "digits")
    assert parent.info.status == "KILLED" and children["t000001"].info.status == "KILLED"
    journal = Journal.open(storage, samples.HEADER)
    resumed = _sink(storage, uri)
    assert resumed.step()
    assert stores.runs(uri, "digits")[0].info.status == "KILLED"
    samples.start(journal, 1, attempt=2)
    assert resumed.step()
    parent, children = stores.runs(uri, "digits")
    assert parent.info.status == "RUNNING" and children["t000001"].info.status == "RUNNING"
    # The step that the journal has is redone, and not reported again.
    samples.report(journal, 1, 1, attempt=2, **{"val/accuracy": 0.0})
    samples.report(journal, 1, 2, attempt=2)
    samples.tell(journal, 1)
    journal.append("end", reason="budget.trials")
    journal.close()
    assert resumed.drain(0.0)
    after, children = stores.runs(uri, "digits")
    assert after.info.run_id == parent.info.run_id and after.info.status == "FINISHED"
    assert _sink(storage, uri).drain(0.0)
    assert stores.runs(uri, "digits")[0].info.status == "FINISHED"
    assert {run.info.status for run in children.values()} == {"FINISHED"} and len(children) == 2
    expected = [(step, samples.accuracy(1, step), _milliseconds(1, step)) for step in (1, 2)]
    assert stores.points(uri, children["t000001"], "val/accuracy") == expected
    assert children["t000001"].info.start_time == _milliseconds(1, 0, 0.5)


def test_a_run_deleted_in_mlflow_does_not_stop_the_rest(
    storage: Storage, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal.open(storage, samples.HEADER)
    for number in range(2):
        samples.ask(journal, samples.trial(number))
        samples.start(journal, number)
    sink = _sink(storage, uri)
    assert sink.step()
    stores.client(uri).delete_run(stores.runs(uri, "digits")[1]["t000000"].info.run_id)
    for number in range(2):
        samples.tell(journal, number)
    journal.close()
    assert sink.step()
    assert stores.runs(uri, "digits")[1]["t000001"].info.status == "FINISHED"
    assert "trial t000000: MLflow does not take it" in caplog.text


def test_a_search_deleted_in_mlflow_is_sent_anew(storage: Storage, uri: str) -> None:
    journal = Journal.open(storage, samples.HEADER)
    samples.run_trial(journal, 0)
    journal.close()
    assert _sink(storage, uri).drain(0.0)
    parent, children = stores.runs(uri, "digits")
    for run in (parent, *children.values()):
        stores.client(uri).delete_run(run.info.run_id)
    assert _sink(storage, uri).drain(0.0)
    again, children = stores.runs(uri, "digits")
    assert again.info.run_id != parent.info.run_id and list(children) == ["t000000"]


def test_another_store_gets_everything_and_a_new_run_and_the_first_what_it_lacks(
    storage: Storage, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.open(storage, samples.HEADER)
    samples.run_trial(journal, 0)
    assert _sink(storage, uri).drain(0.0)
    first = read_state(storage)
    (tmp_path / "other").mkdir()
    other = stores.database(tmp_path / "other", tmp_path)
    # The process dies after it has made the run there, and before it has written that down.
    monkeypatch.setattr(RunStore, "children", lambda self, parent: 1 / 0)
    with pytest.raises(AwayError):
        _sink(storage, other).step()
    monkeypatch.undo()
    samples.run_trial(journal, 1)
    assert _sink(storage, other).drain(0.0)
    second = read_state(storage)
    assert (first["offset"], second["offset"]) == (5, 10) and second["run_id"] != first["run_id"]
    assert sorted(stores.runs(other, "digits")[1]) == ["t000000", "t000001"]
    samples.run_trial(journal, 2)
    journal.close()
    assert _sink(storage, uri).drain(0.0)
    parent, children = stores.runs(uri, "digits")
    assert parent.info.run_id == first["run_id"] and sorted(children) == ["t000000", "t000001", "t000002"]


def test_before_the_search_has_a_journal_mlflow_knows_no_run_of_it(storage: Storage, uri: str) -> None:
    sink = _sink(storage, uri)
    sink.warm()
    assert not sink.begun and sink.step() and sink.drain(0.0)
    looked = stores.client(uri)
    experiment = looked.get_experiment_by_name("digits")
    assert experiment is not None and looked.search_runs([experiment.experiment_id]) == []
    assert read_state(storage) == {}
    Journal.open(storage, samples.HEADER).close()
    assert sink.begun and sink.step()
    assert stores.runs(uri, "digits")[0].info.status == "RUNNING"


ENDS = [
    ({"reason": "budget.trials", "failed": False}, "FINISHED"),
    ({"reason": "5 trials failed alike: ValueError", "failed": True}, "FAILED"),
    ({"reason": "budget.trials", "failed": True}, "FAILED"),
    ({"reason": "interrupted", "failed": True}, "KILLED"),
    ({"reason": "budget.seconds"}, "FINISHED"),
]


@pytest.mark.parametrize(("end", "status"), ENDS)
def test_the_end_of_a_search_is_the_status_of_its_run(
    storage: Storage, uri: str, end: dict[str, Any], status: str
) -> None:
    journal = Journal.open(storage, samples.HEADER)
    samples.run_trial(journal, 0)
    journal.append("end", **end)
    journal.close()
    assert _sink(storage, uri).drain(0.0)
    parent, _ = stores.runs(uri, "digits")
    assert (parent.info.status, parent.data.tags["deepspace.end"]) == (status, end["reason"])


def test_a_store_by_another_name_has_the_run_already(
    storage: Storage, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.open(storage, samples.HEADER)
    samples.run_trial(journal, 0)
    monkeypatch.chdir(tmp_path)
    assert _sink(storage, "sqlite:///mlflow.db").drain(0.0)
    before, _ = stores.runs(uri, "digits")
    samples.run_trial(journal, 1)
    journal.close()
    again = _sink(storage, uri)
    assert again.drain(0.0) and again.sent == 1
    (tmp_path / "moved").mkdir()
    place = stores.copied(tmp_path / "mlflow.db", tmp_path / "moved")
    moved = _sink(storage, place)
    assert moved.drain(0.0) and moved.sent == 0
    after, children = stores.runs(place, "digits")
    assert after.info.run_id == before.info.run_id and len(children) == 2


def test_records_that_the_journal_lost_are_made_up_for(storage: Storage, uri: str) -> None:
    journal = Journal.open(storage, samples.HEADER)
    samples.run_trial(journal, 0, steps=2)
    journal.close()
    assert _sink(storage, uri).drain(0.0)
    storage.delete("journal/000001.jsonl")
    journal = Journal.open(storage, samples.HEADER)
    samples.run_trial(journal, 0, steps=4)
    journal.close()
    assert _sink(storage, uri).drain(0.0)
    _, children = stores.runs(uri, "digits")
    assert [point[0] for point in stores.points(uri, children["t000000"], "val/accuracy")] == [1, 2, 3, 4]


def test_a_store_that_is_away_is_given_up_after_the_patience(
    storage: Storage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal.open(storage, samples.HEADER)
    samples.run_trial(journal, 0)
    journal.close()
    sink = Sink(storage, f"http://127.0.0.1:{stores.free_port()}", "digits", "sample")
    assert not sink.drain(0.5)
    assert "the rest is sent by a resume" in caplog.text
    state = json.loads(storage.read_bytes(STATE))
    assert state["offset"] == 0 and len(state["search_id"]) == 16
