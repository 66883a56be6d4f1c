from pathlib import Path

import pyarrow.fs as pafs
import pytest

from cluster.checkpoints import Checkpoints
from cluster.executors.base import Assignment
from cluster.executors.local import LocalExecutor
from cluster.storage import Storage
from tests.cluster import searches
from trainers.trial import Report


def _write(storage: Storage, *names: str) -> None:
    for name in names:
        storage.write_atomic(f"checkpoints/{name}", b"weights")


def _files(storage: Storage) -> list[str]:
    trials = storage.list("checkpoints")
    return [f"{trial}/{file}" for trial in trials for file in storage.list(f"checkpoints/{trial}")]


def test_the_newest_two_stay_while_a_trial_runs(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    checkpoints = Checkpoints(storage)
    for step in range(1, 5):
        name = f"t0/1-{step}.pt"
        _write(storage, name)
        checkpoints.reported("t0", name)
        checkpoints.collect()
        assert _files(storage) == [f"t0/1-{kept}.pt" for kept in range(max(1, step - 1), step + 1)]
    checkpoints.reported("t0", "t0/1-4.pt")
    assert checkpoints.newest("t0") == ("t0/1-4.pt", "t0/1-3.pt")
    assert checkpoints.newest("t1") == ()
    assert checkpoints.uri("t0/1-4.pt") == f"{tmp_path}/checkpoints/t0/1-4.pt"


def test_the_order_is_that_of_the_journal_not_of_the_names(tmp_path: Path) -> None:
    checkpoints = Checkpoints(Storage.open(tmp_path))
    for name in ("t0/1-8.pt", "t0/1-9.pt", "t0/1-10.pt"):
        checkpoints.note("t0", name)
    assert checkpoints.newest("t0") == ("t0/1-10.pt", "t0/1-9.pt")


def test_afterwards_only_those_of_kept_trials_stay(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    checkpoints = Checkpoints(storage)
    for trial in ("t0", "t1", "t2"):
        _write(storage, f"{trial}/1-1.pt", f"{trial}/1-2.pt")
        for step in (1, 2):
            checkpoints.reported(trial, f"{trial}/1-{step}.pt")
    checkpoints.retain({"t1", "t7"})
    assert _files(storage) == ["t1/1-1.pt", "t1/1-2.pt"]
    assert checkpoints.newest("t0") == ()


def test_a_resume_deletes_what_the_journal_does_not_name(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    checkpoints = Checkpoints(storage)
    _write(storage, "t0/1-1.pt", "t0/1-2.pt", "t0/1-3.pt", "t1/1-1.pt", "t2/1-1.pt", "t2/2-9.pt")
    for name in ("t0/1-1.pt", "t0/1-2.pt", "t2/1-1.pt"):
        checkpoints.note(name[:2], name)
    assert len(_files(storage)) == 6
    checkpoints.sweep({"t0", "t1"})
    assert _files(storage) == ["t0/1-1.pt", "t0/1-2.pt"]
    assert checkpoints.newest("t2") == ()


def test_what_the_durable_journal_names_stays_until_it_names_something_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object store: what is not synced is lost with the driver."""
    monkeypatch.setattr("cluster.journal.SYNC_SECONDS", 1e9)
    storage = Storage.open("run", pafs._MockFileSystem())
    search = searches.config(budget={"trials": 1, "epochs": 9})
    driver, _, journal, _ = searches.make_driver(search, storage, clock=lambda: 0.0)
    assert isinstance(driver.next_trial(), Assignment)

    def report(step: int) -> None:
        name = f"t000000/1-{step}.pt"
        _write(storage, name)
        driver.on_report("t000000", 1, Report(step, {"score": 0.5}, checkpoint=name))
        driver.tick()

    for step in (1, 2):
        report(step)
    journal.sync()
    for step in (3, 4):
        report(step)
    named = [record.fields["checkpoint"] for record in searches.records(storage, "reported")]
    assert named == ["t000000/1-1.pt", "t000000/1-2.pt"]
    assert set(named) <= set(_files(storage))
    journal.sync()
    driver.tick()
    assert _files(storage) == ["t000000/1-3.pt", "t000000/1-4.pt"]


def test_options_of_a_uri_are_no_part_of_a_checkpoints_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    opened = staticmethod(lambda uri: (files, uri.removeprefix("store://").partition("?")[0]))
    monkeypatch.setattr(pafs, "FileSystem", type("Finder", (), {"from_uri": opened}))
    storage = Storage.open("store://bucket/run?endpoint_override=http://host:9000/minio")
    driver, controller, journal, shared = searches.make_driver(searches.config(), storage)
    LocalExecutor(shared).run(driver)
    journal.close()
    assert {outcome["status"] for outcome in searches.told(storage).values()} == {"COMPLETED"}
    best = controller.best
    assert best is not None
    names = [record.fields["checkpoint"] for record in searches.records(storage, "reported")]
    assert names[:3] == [f"t000000/1-{step}.pt" for step in (1, 2, 3)]
    usable = driver.checkpoints.usable(best)
    assert usable == f"store://bucket/run/checkpoints/{best}/1-3.pt?endpoint_override=http://host:9000/minio"
