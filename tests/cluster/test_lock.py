import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from cluster import lock
from cluster.lock import LOCK, Lock, LockedError, alive, describe, process_start, read_lock
from cluster.storage import Storage

HOLD = """
import sys, time
from cluster.lock import Lock
from cluster.storage import Storage
held = Lock(Storage.open(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_driver_is_refused_with_the_holders_name(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    held = Lock(storage)
    with pytest.raises(LockedError, match=f"held by process {os.getpid()} on ") as caught:
        Lock(storage)
    assert "\n" not in str(caught.value)
    assert alive(storage) is not None
    held.release()
    assert not storage.exists(LOCK) and alive(storage) is None
    Lock(storage).release()


@pytest.mark.parametrize("remote", [False, True])
def test_the_lock_of_a_killed_process_is_taken_over_with_a_warning(
    tmp_path: Path, remote: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        system = pafs.SubTreeFileSystem(str(tmp_path.parent), pafs.LocalFileSystem())
        storage = Storage.open(tmp_path.name, system) if remote else Storage.open(tmp_path)
        with pytest.raises(LockedError, match=f"process {holder.pid} "):
            Lock(storage)
        holder.kill()
    taken = Lock(storage)
    assert f"the lock of process {holder.pid}" in caplog.text and "that process has ended" in caplog.text
    assert read_lock(storage)["pid"] == os.getpid()
    taken.release()


def test_a_process_number_used_again_is_another_process(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage = Storage.open(tmp_path)
    Lock(storage).release()
    holder = {"host": os.uname().nodename, "pid": os.getpid(), "start": "another boot/1", "heartbeat": time.time()}
    storage.write_atomic(LOCK, json.dumps(holder).encode())
    Lock(storage).release()
    assert "that process has ended" in caplog.text
    assert process_start(os.getpid()) == process_start(os.getpid()) is not None
    assert process_start(2**22 + 1) is None
    # One that has ended and was not waited for is in the table of processes, and holds nothing.
    ended = subprocess.Popen([sys.executable, "-c", ""])
    deadline = time.monotonic() + 10
    while process_start(ended.pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ended.wait()


def test_another_host_counts_by_its_heartbeat(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage = Storage.open(tmp_path)
    holder = {"host": "elsewhere", "pid": 1, "start": "x", "heartbeat": time.time() - 50}
    storage.write_atomic(LOCK, json.dumps(holder).encode())
    with pytest.raises(LockedError, match="held by process 1 on elsewhere"):
        Lock(storage)
    storage.write_atomic(LOCK, json.dumps({**holder, "heartbeat": time.time() - 70}).encode())
    Lock(storage).release()
    assert "no heartbeat for 70 s" in caplog.text


def test_the_heartbeat_goes_on_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.02)
    storage = Storage.open(tmp_path)
    held = Lock(storage)
    first = read_lock(storage)["heartbeat"]
    deadline = time.monotonic() + 5
    while read_lock(storage)["heartbeat"] <= first:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    held.release()


def test_who_was_taken_over_learns_it_and_leaves_the_lock_alone(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    first = Lock(storage)
    second = Lock(storage, takeover=True)
    first.beat()
    assert first.lost is not None and f"was taken over by process {os.getpid()}" in first.lost
    first.release()
    assert storage.exists(LOCK)
    second.beat()
    assert second.lost is None
    second.release()


def test_a_lock_that_was_never_filled_is_stale(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage = Storage.open(tmp_path)
    storage.write_atomic(LOCK, b"")
    Lock(storage).release()
    assert "it names nobody" in caplog.text
    assert describe({}) == "process ? on ?"
