import json
import math
import os
import random
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.fs as pafs
import pytest

from cluster import journal as module
from cluster.journal import Cursor, Journal, JournalError, JournalReader, Record, decode, encode, headers, holds, read
from cluster.lock import LOCK, LockedError
from cluster.storage import AppendFile, Storage, StorageError
from tests.cluster.samples import events

FILE = "journal/000001.jsonl"
OBJECT = "journal/000001/000000.jsonl"


def _remote(folder: Path) -> Storage:
    return Storage.open("run", pafs.SubTreeFileSystem(str(folder), pafs.LocalFileSystem()))


def _write(storage: Storage, trials: int = 3) -> list[tuple[str, dict[str, Any]]]:
    journal = Journal.open(storage, {"root_seed": 7})
    written = list(events(trials))
    for offset, (kind, fields) in enumerate(written):
        assert journal.append(kind, **fields) == offset
    journal.close()
    journal.close()
    return written


def _text(records: list[Record]) -> str:
    """NaN is not equal to itself; its name is."""
    return repr([(record.offset, record.kind, record.fields) for record in records])


@pytest.mark.parametrize("make", [Storage.open, _remote])
def test_what_is_written_is_read(tmp_path: Path, make: Callable[[Path], Storage]) -> None:
    storage = make(tmp_path)
    written = _write(storage)
    records = list(read(storage))
    assert _text(records) == repr([(offset, kind, fields) for offset, (kind, fields) in enumerate(written)])
    assert _text(list(read(storage, 4))) == _text(records[4:])
    assert headers(storage) == [{"root_seed": 7, "schema": 1, "offset": 0}]
    assert storage.list("journal") == ["000001.jsonl" if storage.appendable else "000001"]


def test_a_line_is_a_checksum_and_json() -> None:
    line = encode({"kind": "told", "x": [math.nan, {"y": -math.inf}], "z": np.float32(0.5), "n": np.int64(3)})
    checksum, payload = line[:8], line[9:-1]
    assert line.endswith(b"\n") and int(checksum, 16) == zlib.crc32(payload)
    json.loads(payload, parse_constant=pytest.fail)
    value = decode(line[:-1])
    assert value is not None and math.isnan(value["x"][0]) and value["x"][1] == {"y": -math.inf}
    assert value["z"] == 0.5 and value["n"] == 3
    same = {"$float": "text", "a": {"$float": 1}}
    assert decode(encode(same)[:-1]) == same
    with pytest.raises(TypeError, match="the journal holds JSON; got set"):
        encode({"x": {1}})


def test_every_bit_counts() -> None:
    line = encode({"kind": "told", "value": 0.25})[:-1]
    for position in range(len(line)):
        for bit in range(8):
            damaged = bytearray(line)
            damaged[position] ^= 1 << bit
            # The hex digits of a checksum are lower case only.
            assert decode(bytes(damaged)) is None


@pytest.mark.parametrize("make", [Storage.open, _remote])
def test_cut_anywhere_a_journal_is_a_prefix_and_goes_on(tmp_path: Path, make: Callable[[Path], Storage]) -> None:
    original = make(tmp_path / "original")
    _write(original, trials=1)
    name = FILE if original.appendable else OBJECT
    data = original.read_bytes(name)
    records = list(read(original))
    ends = [index + 1 for index, byte in enumerate(data) if byte == ord("\n")]
    for cut in range(len(data) + 1):
        whole = sum(end <= cut for end in ends) - 1
        storage = make(tmp_path / str(cut))
        storage.write_atomic(name, data[:cut])
        assert _text(list(read(storage))) == _text(records[: max(whole, 0)])
        if cut % 7:
            continue
        journal = Journal.open(storage, {})
        assert journal.append("told", trial="next") == max(whole, 0)
        journal.close()
        again = list(read(storage))
        assert _text(again[:-1]) == _text(records[: max(whole, 0)]) and again[-1].fields == {"trial": "next"}


def test_random_bytes_at_the_end_are_cut_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage = Storage.open(tmp_path)
    _write(storage)
    whole = storage.read_bytes(FILE)
    before = _text(list(read(storage)))
    torn = random.Random(0).randbytes(300) + b"\n00000000 {}\n" + b"\0" * 100
    storage.write_atomic(FILE, whole + torn)
    assert _text(list(read(storage))) == before
    Journal.open(storage, {}).close()
    assert storage.read_bytes(FILE) == whole
    assert f"is cut ({len(torn)} bytes)" in caplog.text
    assert _text(list(read(storage))) == before


def test_a_damaged_line_in_the_middle_is_an_error_with_its_place(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    _write(storage)
    lines = storage.read_bytes(FILE).split(b"\n")
    lines[3] = lines[3].replace(b"inf", b"Inf")
    storage.write_atomic(FILE, b"\n".join(lines))
    with pytest.raises(JournalError, match=r"journal/000001.jsonl: line 4 is damaged"):
        list(read(storage))
    with pytest.raises(JournalError, match="line 4 is damaged"):
        Journal.open(storage, {})
    assert not storage.exists(LOCK)


def test_a_damaged_object_before_others_is_an_error_with_its_place(tmp_path: Path) -> None:
    storage = _remote(tmp_path)
    journal = Journal.open(storage, {})
    for number in range(3):
        journal.append("told", trial=f"t{number}")
    journal.close()
    storage.write_atomic("journal/000001/000001.jsonl", storage.read_bytes("journal/000001/000001.jsonl")[:-5])
    with pytest.raises(JournalError, match=r"000001/000001.jsonl: line 1 is damaged"):
        list(read(storage))


def test_offsets_run_over_all_starts_and_lost_records_are_noticed(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    _write(storage)
    count = len(list(read(storage)))
    _write_more = Journal.open(storage, {"root_seed": 8})
    assert _write_more.offset == count and _write_more.append("clock", seconds=1.0) == count
    _write_more.close()
    assert [record.offset for record in read(storage)] == list(range(count + 1))
    assert [header["offset"] for header in headers(storage)] == [0, count]
    first = storage.read_bytes(FILE)
    storage.write_atomic(FILE, first[: first[:-1].rindex(b"\n") + 1])
    with pytest.raises(JournalError, match=rf"000002.jsonl: begins with record {count}, but {count - 1} records"):
        list(read(storage))


@pytest.mark.parametrize("make", [Storage.open, _remote])
def test_a_reader_follows_over_starts(tmp_path: Path, make: Callable[[Path], Storage]) -> None:
    storage = make(tmp_path)
    reader = JournalReader(storage)
    late = JournalReader(storage, 2)
    assert reader.poll() == []
    seen: list[int] = []
    for start in range(3):
        journal = Journal.open(storage, {"start": start})
        for number in range(3):
            journal.append("told", trial=f"{start}-{number}")
            found = reader.poll()
            assert [record.fields["trial"] for record in found] == [f"{start}-{number}"]
            seen += [record.offset for record in found]
        journal.close()
        assert reader.poll() == []
    assert seen == list(range(9))
    assert [record.offset for record in late.poll()] == list(range(2, 9))
    assert reader.cursor == late.cursor
    assert holds(storage, reader.cursor) and holds(storage, Cursor())
    assert not holds(storage, Cursor(9, "00000000")) and not holds(storage, Cursor(10, reader.cursor.check))


def test_a_reader_waits_for_the_rest_of_a_line(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    file = storage.append(FILE)
    file.write(encode({"schema": 1, "offset": 0}))
    reader = JournalReader(storage)
    line = encode({"kind": "clock", "seconds": 1.0})
    for byte in line[:-1]:
        file.write(bytes([byte]))
        assert reader.poll() == []
    file.write(line[-1:])
    assert [record.fields for record in reader.poll()] == [{"seconds": 1.0}]
    file.close()


def test_a_header_that_was_not_whole_is_no_start(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    storage.write_atomic(FILE, encode({"schema": 1, "offset": 0})[:-4])
    Journal.open(storage, {"root_seed": 3}).close()
    assert storage.list("journal") == ["000001.jsonl"]
    assert headers(storage) == [{"root_seed": 3, "schema": 1, "offset": 0}]


def test_a_journal_of_another_schema_is_named_and_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage.open(tmp_path)
    _write(storage)
    monkeypatch.setattr(module, "SCHEMA", 2)
    assert len(list(read(storage))) == 11
    monkeypatch.setattr(module, "SCHEMA", 3)
    for call in (lambda: list(read(storage)), lambda: headers(storage), lambda: Journal.open(storage, {})):
        with pytest.raises(StorageError, match=r"000001.jsonl: schema must be .*got 1; allowed 2 and 3"):
            call()


def test_told_is_synced_at_once_and_the_rest_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[float] = []
    sync = AppendFile.sync
    monkeypatch.setattr(AppendFile, "sync", lambda self: (syncs.append(time.monotonic()), sync(self))[1])
    monkeypatch.setattr(module, "SYNC_SECONDS", 0.05)
    journal = Journal.open(Storage.open(tmp_path), {})
    syncs.clear()
    journal.append("told", trial="t")
    assert len(syncs) == 1
    journal.append("clock", seconds=0.0)
    assert len(syncs) == 1
    time.sleep(0.06)
    journal.append("clock", seconds=0.0)
    assert len(syncs) == 2
    journal.sync()
    assert len(syncs) == 2
    journal.append("clock", seconds=0.0)
    journal.sync()
    assert len(syncs) == 3
    journal.close()


def test_on_a_store_that_cannot_append_a_flush_is_one_object(tmp_path: Path) -> None:
    storage = _remote(tmp_path)
    journal = Journal.open(storage, {})
    journal.append("asked", n=0, trials=[])
    assert list(read(storage)) == []
    journal.append("told", trial="t")
    assert [record.kind for record in read(storage)] == ["asked", "told"]
    journal.append("clock", seconds=0.0)
    journal.sync()
    journal.sync()
    assert storage.list("journal/000001") == ["000000.jsonl", "000001.jsonl", "000002.jsonl"]
    journal.close()


def test_what_is_told_together_is_synced_once_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(descriptor), fsync(descriptor))[1])
    journal = Journal.open(Storage.open(tmp_path / "local"), {})
    synced.clear()
    with journal.together():
        for trial in range(5):
            journal.append("told", trial=trial)
            # Written it is at once, as every record.
            assert len(list(read(Storage.open(tmp_path / "local")))) == trial + 1
        assert synced == [] and not journal.synced
    assert len(synced) == 1 and journal.synced
    journal.append("told", trial=5)
    assert len(synced) == 2
    journal.close()
    remote = _remote(tmp_path / "remote")
    journal = Journal.open(remote, {})
    objects = len(remote.list("journal/000001"))
    with journal.together():
        for trial in range(5):
            journal.append("told", trial=trial)
    assert len(remote.list("journal/000001")) == objects + 1
    journal.close()


def test_a_second_driver_is_refused_and_a_driver_that_lost_its_lock_stops(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    journal = Journal.open(storage, {})
    with pytest.raises(LockedError):
        Journal.open(storage, {})
    other = Journal.open(storage, {}, takeover=True)
    journal._lock.beat()
    with pytest.raises(JournalError, match="was taken over by process"):
        journal.append("clock", seconds=1.0)
    other.append("clock", seconds=2.0)
    other.close()
    journal.close()
    assert [record.fields for record in read(storage)] == [{"seconds": 2.0}]


WRITER = """
import os, sys
from cluster.journal import Journal
from cluster.storage import Storage
journal = Journal.open(Storage.open(sys.argv[1]), {"pid": os.getpid()})
text = "x" * 20000
while True:
    offset = journal.append("reported", text=text, number=journal.offset)
    os.write(1, b"%d\\n" % offset)
"""


def test_what_append_returned_survives_sigkill(tmp_path: Path) -> None:
    generator = random.Random(1)
    storage = Storage.open(tmp_path)
    acknowledged = -1
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(generator.uniform(0.0, 0.03))
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().splitlines()
        process.wait()
        acknowledged = max([acknowledged, *(int(line) for line in rest[:-1])])
        records = list(read(storage))
        assert records[-1].offset >= acknowledged
        assert all(record.fields["number"] == record.offset for record in records)
    assert len(headers(storage)) == 4 and acknowledged > 50
