"""One driver a search: `journal/LOCK` names the process that may write the journal, and its heartbeat."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from cluster.storage import Storage

LOCK = "journal/LOCK"
BEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
_SETTLE_SECONDS = 0.2

_log = logging.getLogger(__name__)


class LockedError(Exception):
    """Another driver runs this search; the text is one line for the user."""


def process_start(pid: int) -> str | None:
    """When the process `pid` of this host began, in the system's own words; None when there is none.

    A process number is used again some day; together with its start it is not.
    """
    try:
        # The second field is the command in brackets and may hold spaces; the start is the 22nd, in ticks since boot.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # A zombie or dead process holds nothing.
        return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"
    except OSError:
        if os.path.exists("/proc/self/stat"):
            return None
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


class Lock:
    """The lock of one search, held from construction to `release`.

    A thread renews the heartbeat, so that a driver that computes for minutes does not look dead.

    Args:
        storage: The storage of the search.
        takeover: Take the lock even from a holder that looks alive.

    Raises:
        LockedError: Another driver holds it.
        StorageError: The storage cannot be written.
    """

    def __init__(self, storage: Storage, takeover: bool = False) -> None:
        self._storage = storage
        self._holder: dict[str, Any] = {
            "schema": 1,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "start": process_start(os.getpid()),
            "nonce": secrets.token_hex(8),
        }
        self.lost: str | None = None
        self._take(takeover)
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-lock", daemon=True)
        self._thread.start()

    def beat(self) -> None:
        """Renew the heartbeat, or learn that another driver has taken the search over."""
        holder = read_lock(self._storage)
        if holder.get("nonce") != self._holder["nonce"]:
            self.lost = f"{self._storage.uri(LOCK)}: was taken over by {describe(holder)}"
        else:
            self._storage.write_atomic(LOCK, self._content())

    def release(self) -> None:
        """Give the lock back; a lock that is another's by now stays."""
        self._released.set()
        self._thread.join()
        if read_lock(self._storage).get("nonce") == self._holder["nonce"]:
            self._storage.delete(LOCK)

    def _run(self) -> None:
        while not self._released.wait(BEAT_SECONDS) and self.lost is None:
            try:
                self.beat()
            except Exception as error:  # noqa: BLE001 - a heartbeat missed is no reason to stop; the next may pass
                _log.warning("the heartbeat of %s failed: %s", self._storage.uri(LOCK), error)

    def _content(self) -> bytes:
        return json.dumps({**self._holder, "heartbeat": time.time()}).encode()

    def _take(self, takeover: bool) -> None:
        if self._storage.create(LOCK, self._content()):
            return
        holder = read_lock(self._storage)
        where = self._storage.uri(LOCK)
        reason = "as asked" if takeover else _stale(holder)
        if reason is None:
            raise LockedError(
                f"{where}: one driver may run a search; held by {describe(holder)}; stop that one, or wait for its end"
            )
        _log.warning("%s: the lock of %s is taken over: %s", where, describe(holder), reason)
        self._storage.write_atomic(LOCK, self._content())
        # Of several that take a stale lock over at once, the last to write keeps it.
        time.sleep(_SETTLE_SECONDS)
        holder = read_lock(self._storage)
        if holder.get("nonce") != self._holder["nonce"]:
            raise LockedError(f"{where}: one driver may run a search; held by {describe(holder)}")


def read_lock(storage: Storage) -> dict[str, Any]:
    """Who holds the search: host, pid, start, nonce, heartbeat (seconds since 1970); empty when nobody does."""
    for _ in range(5):
        try:
            holder = json.loads(storage.read_bytes(LOCK))
        except FileNotFoundError:
            return {}
        except ValueError:
            # The file was made this moment and is not filled yet, or its maker died in between.
            time.sleep(0.05)
            continue
        return holder if isinstance(holder, dict) else {}
    return {}


def describe(holder: dict[str, Any]) -> str:
    """The holder's name for people."""
    return f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"


def alive(storage: Storage) -> dict[str, Any] | None:
    """The holder of the search when it lives, else None."""
    holder = read_lock(storage)
    return holder if holder and _stale(holder) is None else None


def refuse_second(storage: Storage) -> None:
    """Refuse to drive a search that somebody drives.

    Raises:
        LockedError: Another driver lives.
    """
    if (holder := alive(storage)) is not None:
        rule = f"{storage.uri()}: one driver may run a search; held by {describe(holder)}"
        raise LockedError(f"{rule}; stop that one, or wait for its end")


def _stale(holder: dict[str, Any]) -> str | None:
    """Why the holder is not there any more, or None."""
    if not holder:
        return "it names nobody"
    if holder.get("host") == socket.gethostname():
        start = process_start(int(holder.get("pid", -1)))
        return None if start is not None and start == holder.get("start") else "that process has ended"
    silent = time.time() - float(holder.get("heartbeat", 0.0))
    return f"no heartbeat for {silent:.0f} s" if silent > STALE_SECONDS else None
