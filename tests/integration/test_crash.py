"""Drivers and workers that are killed at many moments: no trial is lost, none is done twice, no step is doubled."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cluster.journal import Journal
from tests.cluster import searches
from tests.integration import crash_search

ROOT = Path(__file__).parents[2]
TRIALS = 8


class Crash(BaseException):
    """Stands for SIGKILL inside the test's own process: nothing of ours catches it."""


def _run_until(folder: Path, records: int | None, concurrency: int, trials: int = TRIALS) -> None:
    """One driver start in this process, which dies when it has written so many records."""
    append = Journal.append
    count = 0

    def counted(journal: Journal, kind: str, **fields: Any) -> int:
        nonlocal count
        offset = append(journal, kind, **fields)
        count += 1
        if records is not None and count >= records:
            raise Crash
        return offset

    Journal.append = counted  # type: ignore[method-assign]
    try:
        crash_search.run(str(folder), "local", concurrency, trials, "climb")
    except Crash:
        pass
    finally:
        Journal.append = append  # type: ignore[method-assign]


def _check(folder: Path, trials: int = TRIALS) -> None:
    """Every trial is told once, every step stands once, and no step is missing."""
    told = searches.told(folder)
    steps = searches.steps(folder)
    assert len(steps) == len(set(steps)), "a step was written twice"
    assert sorted(told) == [f"t{i:06d}" for i in range(trials)]
    for trial_id, outcome in told.items():
        own = [step for trial, step in steps if trial == trial_id]
        assert own == list(range(1, outcome["steps"] + 1))
        assert outcome["status"] == ("COMPLETED" if outcome["steps"] == 3 else "PRUNED")
    reported = searches.records(folder, "reported")
    # The trace grows by one a step in the trial's own checkpoints: no step was lost or done twice on the way.
    assert [r.fields["metrics"]["trace"] for r in reported] == [float(step) for _, step in steps]
    table = pq.read_table(folder / "trials.parquet").to_pylist()
    assert sorted(row["trial_id"] for row in table) == sorted(told)
    assert all(row["status"] == told[row["trial_id"]]["status"] for row in table)
    attempts: dict[str, int] = {}
    for record in searches.records(folder, "started"):
        assert record.fields["attempt"] == attempts.get(record.fields["trial"], 0) + 1
        attempts[record.fields["trial"]] = record.fields["attempt"]


def _values(folder: Path) -> dict[str, Any]:
    return {trial: (outcome["status"], outcome["metrics"]) for trial, outcome in searches.told(folder).items()}


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_driver_that_dies_at_any_record_resumes(tmp_path: Path, concurrency: int) -> None:
    whole = tmp_path / "whole"
    _run_until(whole, None, concurrency)
    _check(whole)
    records = len(searches.records(whole))
    assert records > 30
    for dies_after in range(1, records, 2 if concurrency == 1 else 3):
        folder = tmp_path / str(dies_after)
        _run_until(folder, dies_after, concurrency)
        assert len(searches.records(folder)) == dies_after
        _run_until(folder, None, concurrency)
        _check(folder)
        if concurrency == 1:
            assert searches.candidates(folder) == searches.candidates(whole)
            assert _values(folder) == _values(whole)


def test_a_driver_that_dies_at_every_third_record_gets_there(tmp_path: Path) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "broken"
    _run_until(whole, None, 1)
    for _ in range(200):
        _run_until(folder, 3, 1)
        if searches.records(folder, "end"):
            break
    _check(folder)
    assert searches.candidates(folder) == searches.candidates(whole)
    assert _values(folder) == _values(whole)


def _command(folder: Path, executor: str, concurrency: int, function: str, kill: str) -> list[str]:
    arguments = [str(folder), executor, str(concurrency), str(TRIALS), function, kill]
    return [sys.executable, "-m", "tests.integration.crash_search", *arguments]


def _start(folder: Path, executor: str, concurrency: int, function: str, kill: str = "never") -> int:
    done = subprocess.run(
        _command(folder, executor, concurrency, function, kill), cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    if kill == "never":
        assert done.returncode == 0, done.stderr
    return done.returncode


def test_sigkill_between_the_last_report_and_told(tmp_path: Path) -> None:
    # The fifth record is the last report of the first trial.
    assert _start(tmp_path, "local", 1, "climb", "5") == -signal.SIGKILL
    kinds = [record.kind for record in searches.records(tmp_path) if record.kind != "clock"]
    assert kinds == ["asked", "started", *["reported"] * 3]
    assert _start(tmp_path, "local", 1, "climb") == 0
    _check(tmp_path)
    assert len([r for r in searches.records(tmp_path, "started") if r.fields["trial"] == "t000000"]) == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sigkill_of_the_driver_while_the_pool_runs_trials(tmp_path: Path) -> None:
    # Of the first batch: while it is out, amid its reports, between two of its outcomes.
    for number, (concurrency, kill) in enumerate([(1, "5"), (8, "9"), (8, "report:3"), (8, "17")]):
        folder = tmp_path / f"{number}"
        assert _start(folder, "pool", concurrency, "climb", kill) == -signal.SIGKILL
        assert _start(folder, "pool", concurrency, "climb") == 0
        _check(folder)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("concurrency", [1, 2])
def test_sigkill_of_the_driver_while_ray_runs_trials(tmp_path: Path, concurrency: int) -> None:
    whole = tmp_path / "whole"
    assert _start(whole, "tune", concurrency, "climb") == 0
    # The fifth record is the last report of the first trial where trials take no turns.
    for number, kill in enumerate(["5", "report:4", "17"]):
        folder = tmp_path / f"{number}"
        assert _start(folder, "tune", concurrency, "climb", kill) == -signal.SIGKILL
        assert _start(folder, "tune", concurrency, "climb") == 0
        _check(folder)
        if concurrency == 1:
            assert searches.candidates(folder) == searches.candidates(whole)
            assert _values(folder) == _values(whole)


def _children(pid: int) -> set[int]:
    """All living descendants of a process."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    queue = [pid]
    while queue:
        for child in parents.get(queue.pop(), []):
            found.add(child)
            queue.append(child)
    return found


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0 ").replace("\0", " ")


def _wait_for(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_no_process_behind_and_the_search_resumable(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        _command(tmp_path, "tune", 2, "slow", "never"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    _wait_for(lambda: (tmp_path / "journal").exists() and len(searches.steps(tmp_path)) >= 5, 60)
    children = _children(process.pid)
    if number is signal.SIGKILL:
        # Two of Ray's own agents try for a minute to tell the dead that they end.
        children = {pid for pid in children if not _name(pid).endswith("Agent")}
    assert len(children) >= 4
    # A terminal sends Ctrl-C to all processes of its group.
    (os.killpg if number is signal.SIGINT else os.kill)(process.pid, number)
    output, _ = process.communicate(timeout=30)
    _wait_for(lambda: not any(_alive(pid) for pid in children), 15)
    if number is signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert b"reason='interrupted', code=130" in output
        assert searches.records(tmp_path, "end")[-1].fields["reason"] == "interrupted"
    assert _start(tmp_path, "tune", 2, "climb") == 0
    _check(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_sigkill_of_a_worker_goes_on_from_the_newest_checkpoint(tmp_path: Path) -> None:
    assert _start(tmp_path, "tune", 2, "dies_once") == 0
    _check(tmp_path)
    started = [(r.fields["trial"], r.fields["attempt"]) for r in searches.records(tmp_path, "started")]
    assert sorted(started) == sorted([*((f"t{i:06d}", 1) for i in range(TRIALS)), ("t000001", 2)])
