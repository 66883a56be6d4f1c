import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cluster.journal import Journal, headers
from cluster.lock import LockedError
from cluster.replay import ReplayError
from cluster.runtime import End, Opened, drive
from cluster.storage import Storage
from search_spaces.errors import SpecError
from tests.cluster import searches, trained
from tests.cluster.test_search import make
from tests.trainers.examples import same
from trainers.checkpoint import load
from trainers.tasks.function import Function


def _drive(folder: Path, search: Any = None, **options: Any) -> End:
    return drive(search or searches.config(), Storage.open(folder), executor="local", **options)


def test_a_search_leaves_journal_table_and_best(tmp_path: Path) -> None:
    end = _drive(tmp_path)
    assert (end.reason, end.code) == ("budget.trials", 0)
    assert searches.records(tmp_path)[-1].kind == "end"
    table = pq.read_table(tmp_path / "trials.parquet").to_pydict()
    assert table["trial_id"] == [f"t{i:06d}" for i in range(6)]
    assert json.loads((tmp_path / "best.json").read_text())["trial_id"] == end.best
    assert json.loads((tmp_path / "best" / "spec.json").read_text()).keys() == {"x", "n"}
    assert not (tmp_path / "journal" / "LOCK").exists()
    header = headers(Storage.open(tmp_path))[0]
    assert header["seed"] == 1 and "python" in header["versions"]


def test_a_finished_search_goes_on_with_a_larger_budget_and_else_does_nothing(tmp_path: Path) -> None:
    _drive(tmp_path)
    before = len(searches.steps(tmp_path))
    assert _drive(tmp_path).reason == "budget.trials"
    assert len(searches.steps(tmp_path)) == before
    _drive(tmp_path, searches.config(budget={"trials": 8, "epochs": 3}))
    assert list(searches.told(tmp_path)) == [f"t{i:06d}" for i in range(8)]


def test_another_space_is_refused_and_the_journal_stays_as_it_is(tmp_path: Path) -> None:
    _drive(tmp_path)
    before = len(headers(Storage.open(tmp_path)))
    with pytest.raises(ReplayError, match="space: a search goes on with the search space it began with"):
        _drive(tmp_path, searches.config(space={"x": {"float": [0.0, 2.0]}, "n": {"integer": [0, 5]}}))
    assert len(headers(Storage.open(tmp_path))) == before


def test_a_second_driver_is_refused_with_the_first_ones_name(tmp_path: Path) -> None:
    journal = Journal.open(Storage.open(tmp_path), {"space": "", "data": "", "seed": 1})
    with pytest.raises(LockedError, match=f"held by process {os.getpid()} on "):
        _drive(tmp_path)
    journal.close()


def test_a_task_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="target"):
        _drive(tmp_path, searches.config("nowhere"))
    assert not (tmp_path / "journal").exists()


def test_a_search_without_any_success_fails(tmp_path: Path) -> None:
    end = _drive(tmp_path, searches.config("broken", budget={"trials": 2, "epochs": 2}))
    assert end == End("budget.trials", 1)


def test_data_that_may_not_be_read_is_refused_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(self: Function) -> None:
        open(tmp_path)  # noqa: SIM115 - a folder

    monkeypatch.setattr(Function, "open", unreadable)
    with pytest.raises(SpecError, match=f"^data: cannot be read: .*directory: .{tmp_path}"):
        _drive(tmp_path / "run")


def test_the_end_says_whether_the_search_has_failed(tmp_path: Path) -> None:
    _drive(tmp_path / "good")
    _drive(tmp_path / "bad", searches.config("broken", budget={"trials": 2, "epochs": 2}))
    ends = [searches.records(tmp_path / name, "end")[0].fields for name in ("good", "bad")]
    assert [(end["reason"], end["failed"]) for end in ends] == [("budget.trials", False), ("budget.trials", True)]


def test_an_error_of_ours_is_the_end_of_a_search_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        _drive(tmp_path, on_tick=(lambda: 1 / 0,))
    end = searches.records(tmp_path)[-1]
    assert (end.kind, end.fields["reason"], end.fields["failed"]) == (
        "end",
        "ZeroDivisionError: division by zero",
        True,
    )
    # Nothing is lost by it.
    assert _drive(tmp_path).code == 0


def test_what_the_resources_say_is_checked_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="resources/workers"):
        _drive(tmp_path / "run", searches.config(resources={"workers": 2}))
    with pytest.raises(SpecError, match="resources/cpus"):
        drive(searches.config(resources={"cpus": 9999}), Storage.open(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_stop_file_ends_a_search_that_can_be_resumed(tmp_path: Path) -> None:
    def stop() -> None:
        while not (tmp_path / "journal").exists() or len(searches.steps(tmp_path)) < 2:
            time.sleep(0.01)
        (tmp_path / "STOP").touch()

    thread = threading.Thread(target=stop)
    thread.start()
    end = _drive(tmp_path, searches.config("slow", budget={"trials": 50, "epochs": 3}))
    thread.join()
    assert (end.reason, end.code) == ("interrupted", 130)
    assert len(searches.told(tmp_path)) < 50
    # The request counts once.
    assert _drive(tmp_path).code == 0
    assert not (tmp_path / "STOP").exists()


def test_time_is_a_budget(tmp_path: Path) -> None:
    end = _drive(tmp_path, searches.config("slow", budget={"seconds": 1.0, "epochs": 3}))
    assert (end.reason, end.code) == ("budget.seconds", 0)
    assert 0.9 < searches.records(tmp_path, "clock")[-1].fields["seconds"] < 10.0
    assert {outcome["status"] for outcome in searches.told(tmp_path).values()} <= {"COMPLETED", "CANCELLED"}


def test_candidates_can_be_put_first(tmp_path: Path) -> None:
    chosen = [{"x": 0.25, "n": 3}, {"x": 0.75, "n": 0}]
    for _ in range(2):
        _drive(tmp_path, enqueue=chosen)
    assert searches.candidates(tmp_path)[:2] == chosen
    assert len(searches.candidates(tmp_path)) == 6
    assert len(searches.records(tmp_path, "enqueued")) == 2


def test_a_resume_under_other_versions_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _drive(tmp_path)
    file = tmp_path / "journal" / "000001.jsonl"
    from cluster.journal import decode, encode

    first, _, rest = file.read_bytes().partition(b"\n")
    header = decode(first)
    assert header is not None
    header["versions"]["numpy"] = "0.1"
    file.write_bytes(encode(header) + rest)
    _drive(tmp_path)
    assert "resumed under other versions: numpy 0.1 -> " in caplog.text


@pytest.mark.timeout(180)
def test_the_whole_way_on_ray(tmp_path: Path) -> None:
    """In a process of its own, since Ray reads its settings once."""
    import subprocess
    import sys

    command = [
        sys.executable,
        "-m",
        "tests.integration.crash_search",
        str(tmp_path),
        "tune",
        "2",
        "6",
        "climb",
        "never",
    ]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    assert "reason='budget.trials', code=0" in done.stdout
    assert len(searches.told(tmp_path)) == 6
    assert {record.fields["node"] is not None for record in searches.records(tmp_path, "started")} == {True}
    assert done.stderr == ""


def test_rows_that_were_skipped_are_told_with_their_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained.images(tmp_path / "images")
    broken = tmp_path / "images" / "dark" / "007.png"
    broken.write_bytes(b"broken")
    search = trained.run(trained.make(tmp_path, data={"on_error": "skip"}, budget={"trials": 1, "epochs": 1}))
    told = f"1 row skipped: {broken}: the image cannot be read"
    assert told in (tmp_path / "runs" / "small" / "log.txt").read_text()
    assert f"WARNING: {told}" in capsys.readouterr().err
    assert search.code == 0


def test_the_teacher_of_a_search_is_trained_once_and_a_resume_finds_it(tmp_path: Path) -> None:
    trained.images(tmp_path / "images")
    network = trained.SPACE["architecture"]
    teachers = [{"kind": "trained", "architecture": network, "epochs": 1}]
    recipe = {**trained.SPACE["recipe"], "distillation": {"kind": "soft_distillation", "teachers": teachers}}
    search = trained.run(trained.make(tmp_path, {"architecture": network, "recipe": recipe}))
    (file,) = (tmp_path / "runs" / "small" / "common").iterdir()
    written = file.stat().st_mtime_ns
    search.set_trials(3)
    search.resume(executor="local", progress=False)
    assert search.trials["status"].to_pylist() == ["COMPLETED"] * 3
    assert list((tmp_path / "runs" / "small" / "common").iterdir()) == [file]
    assert file.stat().st_mtime_ns == written
    weights = [
        load(str(path))["learner"]["extra"]["distillation.teachers.0._extra_state"]["weights"]
        for path in (tmp_path / "runs" / "small" / "checkpoints").glob("*/1-1.pt")
    ]
    assert len(weights) == 3 and all(same(found, load(str(file))["network"]) for found in weights)


def test_a_refusal_waits_for_the_thread_of_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, counted = threading.Event(), threading.Event()

    def count(self: Opened) -> None:
        begun.set()
        time.sleep(0.3)
        counted.set()

    monkeypatch.setattr(Opened, "_count", count)
    search = make(tmp_path)
    with pytest.raises(SpecError, match="refused"), Opened(search.config, search.space):
        assert begun.wait(10) and not counted.is_set()
        raise SpecError("refused")
    assert counted.is_set()
