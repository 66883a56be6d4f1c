"""The journal: what happened, in order; the one source of truth of a search.

A line is `CRC32 JSON`: the checksum of the JSON text in eight hex digits, a space, one compact JSON object. Each start
of a driver writes one file, whose first line is a header; on a storage that cannot append, a folder of immutable
objects instead. A record's offset is its number over all files, headers not counted. A number that is not finite is
written as `{"$float": "nan" | "inf" | "-inf"}`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.lock import Lock
from cluster.storage import AppendFile, Storage, check_schema

SCHEMA = 1
SYNC_SECONDS = 1.0
FOLDER = "journal"

_log = logging.getLogger(__name__)


class JournalError(Exception):
    """A journal that cannot be read or written; the text names file and line."""


@dataclass(frozen=True)
class Record:
    """One thing that happened.

    Args:
        offset: Number of the record over all files, from 0.
        kind: asked, started, reported, told, clock, ...
        fields: What the record holds.
        check: Checksum of its line, by which a reader sees later that the record is still the same.
    """

    offset: int
    kind: str
    fields: dict[str, Any]
    check: str = ""


@dataclass(frozen=True)
class Cursor:
    """How far a reader has come.

    Args:
        offset: Number of records that it has read.
        check: Checksum of the last of them.
    """

    offset: int = 0
    check: str = ""


def encode(value: Mapping[str, Any]) -> bytes:
    """One line of the journal, its end included."""
    try:
        text = _ENCODER.encode(value)
    except ValueError:
        text = _ENCODER.encode(_spell(value))
    payload = text.encode()
    return b"%08x %s\n" % (zlib.crc32(payload), payload)


def decode(line: bytes) -> dict[str, Any] | None:
    """What a line without its end holds, or None when it is torn or damaged."""
    payload = line[9:]
    if len(line) < 11 or line[8:9] != b" " or line[:8] != b"%08x" % zlib.crc32(payload):
        return None
    value = json.loads(payload, object_hook=_unspell if b'"$float"' in payload else None)
    return value if isinstance(value, dict) else None


def _plain(value: Any) -> Any:
    """Numbers of numpy, and mappings that are no dict."""
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"the journal holds JSON; got {type(value).__name__}: {value!r}")


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain)


def _spell(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(float(value))}
    if isinstance(value, Mapping):
        return {key: _spell(item) for key, item in value.items()}
    return [_spell(item) for item in value] if isinstance(value, list | tuple) else value


def _unspell(value: dict[str, Any]) -> Any:
    return float(value["$float"]) if len(value) == 1 and value.get("$float") in ("nan", "inf", "-inf") else value


class Journal:
    """The journal of one driver, open for writing.

    Args:
        storage: The storage of the search.
        lock: The lock, held.
        number: Number of this driver start, from 1.
        offset: Offset of the next record.
        header: What the first line says.
    """

    def __init__(self, storage: Storage, lock: Lock, number: int, offset: int, header: Mapping[str, Any]) -> None:
        self.offset = offset
        self._storage = storage
        self._lock = lock
        self._number = number
        self._file: AppendFile | None = None
        if storage.appendable:
            self._file = storage.append(_file_name(number, True, 0))
        self._buffer: list[bytes] = []
        self._objects = 0
        self._closed = False
        self._unsynced = False
        self._together = False
        self._synced = time.monotonic()
        self._write(encode({**header, "schema": SCHEMA, "offset": offset}))
        self.sync()

    @classmethod
    def open(cls, storage: Storage, header: Mapping[str, Any], *, takeover: bool = False) -> Journal:
        """Take the lock, cut a torn tail and begin the file of this start.

        Args:
            storage: The storage of the search.
            header: Versions, fingerprints, root seed: what a reader must know first.
            takeover: Take the lock even from a driver that looks alive.

        Raises:
            LockedError: Another driver runs this search.
            StorageError: The storage cannot be written.
            JournalError: What is there cannot be read.
        """
        storage.ensure_writable()
        lock = Lock(storage, takeover)
        try:
            number, offset = _repair(storage)
            return cls(storage, lock, number + 1, offset, header)
        except BaseException:
            lock.release()
            raise

    def append(self, kind: str, **fields: Any) -> int:
        """Write one record; on a local storage it survives the death of this process from here on.

        A `told` record is synced at once, so that it survives a power loss; inside `together` at its end.

        Args:
            kind: What happened.
            fields: JSON values; numbers need not be finite.

        Returns:
            The offset of the record.

        Raises:
            JournalError: Another driver has taken the search over.
        """
        if self._lock.lost is not None:
            raise JournalError(self._lock.lost)
        self._write(encode({"kind": kind, **fields}))
        self.offset += 1
        if not self._together and (kind == "told" or time.monotonic() - self._synced >= SYNC_SECONDS):
            self.sync()
        return self.offset - 1

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Sync once, at the end, what is written inside; nothing may act on it before."""
        self._together = True
        try:
            yield
        finally:
            self._together = False
        self.sync()

    @property
    def synced(self) -> bool:
        """Whether every record that was written survives a power loss and, on an object store, this process."""
        return not self._unsynced

    def sync(self) -> None:
        """Bring every record to the disk (or into an object of its own); nothing to do, nothing done.

        Called at snapshots, and by the driver about once a second.
        """
        if self._unsynced:
            if self._file is not None:
                self._file.sync()
            else:
                name = _file_name(self._number, False, self._objects)
                self._storage.write_atomic(name, b"".join(self._buffer))
                self._objects += 1
                self._buffer.clear()
        self._unsynced = False
        self._synced = time.monotonic()

    def close(self) -> None:
        """Sync, close and give the lock back; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self.sync()
            if self._file is not None:
                self._file.close()
            self._lock.release()

    def _write(self, line: bytes) -> None:
        if self._file is not None:
            self._file.write(line)
        else:
            self._buffer.append(line)
        self._unsynced = True


class JournalReader:
    """Reads the journal as it grows; many may read while one driver writes.

    Args:
        storage: The storage of the search.
        start: Offset of the first record wanted.
    """

    def __init__(self, storage: Storage, start: int = 0) -> None:
        self._storage = storage
        self._start = start
        self._offset = 0
        self._check = ""
        self._enter(0, True)

    @property
    def cursor(self) -> Cursor:
        """Where this reader stands; what is saved so that a later one goes on here."""
        return Cursor(self._offset, self._check)

    def poll(self) -> list[Record]:
        """The whole records that are new since the last call; none is cheap.

        Raises:
            JournalError: A line that is not the last is damaged, or records are missing.
            StorageError: The journal has a schema that this version cannot read.
        """
        records: list[Record] = []
        while True:
            # Asked before reading: once the next file is there, nobody writes to this one any more.
            grows = _grows(self._storage, self._number + 1)
            if self._number:
                self._read_file(records)
            if grows is None:
                return records
            self._enter(self._number + 1, grows)

    def _enter(self, number: int, grows: bool) -> None:
        self._number = number
        self._grows = grows
        self._chunk = 0
        self._position = 0
        self._line = 0
        self._headed = False

    def _name(self, chunk: int | None = None) -> str:
        return _file_name(self._number, self._grows, self._chunk if chunk is None else chunk)

    def _read_file(self, records: list[Record]) -> None:
        while True:
            name = self._name()
            try:
                data = self._storage.read_bytes(name, self._position)
            except FileNotFoundError:
                return
            whole = self._read_lines(name, data, records)
            if self._grows:
                return
            if not whole:
                if self._storage.exists(self._name(self._chunk + 1)):
                    raise JournalError(f"{self._storage.uri(name)}: line {self._line + 1} is damaged")
                return
            self._chunk, self._position, self._line = self._chunk + 1, 0, 0

    def _read_lines(self, name: str, data: bytes, records: list[Record]) -> bool:
        """Take the whole lines of `data`; False when something that is none stands at the end."""
        lines = data.split(b"\n")
        tail = lines.pop()
        for index, line in enumerate(lines):
            value = decode(line)
            if value is None:
                if any(decode(later) is not None for later in lines[index + 1 :]):
                    raise JournalError(f"{self._storage.uri(name)}: line {self._line + 1} is damaged")
                return False
            self._line += 1
            self._position += len(line) + 1
            self._take(name, line, value, records)
        return not tail

    def _take(self, name: str, line: bytes, value: dict[str, Any], records: list[Record]) -> None:
        if not self._headed:
            self._headed = True
            check_schema(value.get("schema"), SCHEMA, self._storage.uri(name))
            if value["offset"] != self._offset:
                raise JournalError(
                    f"{self._storage.uri(name)}: begins with record {value['offset']}, "
                    f"but {self._offset} records stand before it"
                )
            return
        self._check = line[:8].decode()
        if self._offset >= self._start:
            records.append(Record(self._offset, value.pop("kind"), value, self._check))
        self._offset += 1


def read(storage: Storage, start: int = 0) -> Iterator[Record]:
    """The records of a journal from offset `start` on; a torn tail is left out.

    Raises:
        JournalError: A line that is not the last is damaged, or records are missing.
        StorageError: The journal has a schema that this version cannot read.
    """
    yield from JournalReader(storage, start).poll()


def holds(storage: Storage, cursor: Cursor) -> bool:
    """Whether the journal still has what a reader with that cursor has read.

    A power loss can take records that were written but not synced; the journal then goes on otherwise, and such a
    reader begins anew.
    """
    reader = JournalReader(storage, cursor.offset - 1)
    found = reader.poll()
    return cursor.offset == 0 or (bool(found) and found[0].check == cursor.check)


def begun(storage: Storage) -> bool:
    """Whether a driver has begun a journal."""
    return _grows(storage, 1) is not None


def headers(storage: Storage) -> list[dict[str, Any]]:
    """What the first line of each driver start says, the oldest first; empty when there is no journal."""
    found = []
    number = 1
    while (grows := _grows(storage, number)) is not None:
        name = _file_name(number, grows, 0)
        try:
            value = decode(storage.read_bytes(name).split(b"\n", 1)[0])
        except FileNotFoundError:
            value = None
        if value is not None:
            check_schema(value.get("schema"), SCHEMA, storage.uri(name))
            found.append(value)
        number += 1
    return found


def _grows(storage: Storage, number: int) -> bool | None:
    """Whether the file of a driver start is one that grows, or a folder of objects; None when there is none."""
    name = f"{FOLDER}/{number:06d}"
    if storage.exists(f"{name}.jsonl"):
        return True
    return False if storage.exists(name) else None


def _file_name(number: int, grows: bool, chunk: int) -> str:
    name = f"{FOLDER}/{number:06d}"
    return f"{name}.jsonl" if grows else f"{name}/{chunk:06d}.jsonl"


def _repair(storage: Storage) -> tuple[int, int]:
    """Cut what is torn at the end of the last file; the number of files and of records that stand."""
    reader = JournalReader(storage)
    reader.poll()
    if reader._number == 0:
        return 0, 0
    if not reader._headed:
        # The driver died before its first line was whole: nothing of it is known to anybody.
        storage.delete(_file_name(reader._number, reader._grows, 0))
        return reader._number - 1, reader._offset
    name = reader._name()
    data = storage.read_bytes(name) if storage.exists(name) else b""
    if len(data) > reader._position:
        torn = len(data) - reader._position
        _log.warning("%s: a torn record at the end is cut (%d bytes)", storage.uri(name), torn)
        storage.write_atomic(name, data[: reader._position])
    return reader._number, reader._offset
