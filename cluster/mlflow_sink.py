"""The MLflow sink: a reader of the journal in a process of its own.

Run as `python -m cluster.mlflow_sink RUN --tracking URI --experiment NAME --name NAME`. It prints
`ready EXPERIMENT RUN` once the run of the search is there, which is made when the search has a journal, and ends after
its standard input has ended and everything is sent.
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import hashlib
import logging
import os
import select
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TextIO

from cluster.mlflow_sender import MAX_PAUSE_SECONDS, AwayError, Sink
from cluster.storage import Storage

POLL_SECONDS = 1.0
BEGIN_SECONDS = 0.2
PATIENCE_SECONDS = 30.0
# The trials go first.
_NICENESS = 5

_log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Send a search to MLflow until the standard input ends, then what is left.

    Returns:
        0 when everything was sent, else 1.
    """
    parser = argparse.ArgumentParser(prog="python -m cluster.mlflow_sink", description="Send a search to MLflow.")
    parser.add_argument("run", help="folder or URI of the search")
    parser.add_argument("--tracking", required=True, help="MLflow store or server")
    parser.add_argument("--experiment", required=True)
    parser.add_argument("--name", required=True, help="name of the search")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE_SECONDS, help="seconds to wait for MLflow at the end"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    os.nice(_NICENESS)
    storage = Storage.open(options.run)
    # The driver reads our two lines; what a library prints must not come between them, nor fill the pipe.
    driver = sys.stdout
    with _only_one(storage), redirect_stdout(sys.stderr):
        return _serve(Sink(storage, options.tracking, options.experiment, options.name), options.patience, driver)


def _serve(sink: Sink, patience: float, driver: TextIO) -> int:
    pause, busy, ready, told = 0.0, 0.0, False, ""
    while not _input_ended(pause):
        try:
            if not sink.begun:
                # The search may still be refused; its driver begins the journal when everything is checked.
                sink.warm()
                pause = BEGIN_SECONDS
                continue
            sink.connect()
            if not ready:
                ready = True
                # What was imported stays; a trial makes some ten thousand objects, hardly any in a cycle.
                gc.freeze()
                gc.set_threshold(50_000)
                print("ready", sink.experiment_id, sink.run_id, file=driver, flush=True)
            began = time.perf_counter()
            pause = POLL_SECONDS if sink.step() else 0.0
            busy += time.perf_counter() - began
            told = ""
        except AwayError as error:
            pause = min(max(POLL_SECONDS, 2 * pause), MAX_PAUSE_SECONDS)
            if str(error) != told:
                told = str(error)
                _log.warning("MLflow is away, waiting: %s", told)
    began = time.perf_counter()
    sent = sink.drain(patience)
    busy += time.perf_counter() - began
    rest = "" if sent else "; not all"
    print(f"MLflow: {sink.sent} trials sent, {sink.sent / busy:.1f} a second{rest}", file=driver, flush=True)
    return 0 if sent else 1


def _input_ended(timeout: float) -> bool:
    """Wait for the end of the standard input: the driver asks to finish, or has died."""
    return bool(select.select([sys.stdin], [], [], timeout)[0]) and not os.read(sys.stdin.fileno(), 4096)


@contextmanager
def _only_one(storage: Storage) -> Iterator[None]:
    """Wait for the sink of an earlier driver to end: two at once would make the same runs."""
    folder = storage.folder
    if folder is None:
        key = hashlib.sha256(storage.uri().encode()).hexdigest()[:16]
        file = Path(tempfile.gettempdir()) / f"deepspace-{os.getuid()}-{key}.lock"
    else:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "mlflow.lock"
    with open(file, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
