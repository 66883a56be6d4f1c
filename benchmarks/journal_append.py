"""Claim: writing a record into the journal takes less than 0.1 ms, so that a driver can write each before it acts.

A record is a report of 21 metrics, appended to a journal in a local folder with the syncs of once a second taken out
(a sync waits for the disk); the time of a `told` record, which is synced at once, stands beside it. Each figure is the
median of three rounds.

Bound: the mean time of an append without fsync is below 0.1 ms.

    python -m benchmarks.journal_append [--records 5000] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time

from benchmarks.record import keep
from cluster import journal as module
from cluster.journal import Journal
from cluster.storage import Storage

METRICS = {f"metric/{number}": 0.123456789 * number for number in range(21)}
BOUND_MS = 0.1
ROUNDS = 3


def append_ms(folder: str, records: int) -> tuple[float, float]:
    """Milliseconds of one append without and with fsync."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        journal = Journal.open(Storage.open(scratch), {"root_seed": 0})
        began = time.perf_counter()
        for step in range(records):
            journal.append(
                "reported",
                trial="t000000",
                attempt=1,
                step=step,
                time=time.time(),
                metrics=METRICS,
                verdict="CONTINUE",
                checkpoint="t000000/1-1.pt",
            )
        plain = (time.perf_counter() - began) / records
        synced = max(1, records // 50)
        began = time.perf_counter()
        for number in range(synced):
            journal.append("told", trial=f"t{number:06d}", outcome={"metrics": METRICS}, time=time.time())
        with_sync = (time.perf_counter() - began) / synced
        journal.close()
    return plain * 1e3, with_sync * 1e3


def main() -> int:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=int, default=5000)
    parser.add_argument("--folder", default=None, help="where the journal is written; default: the temporary folder")
    options = parser.parse_args()
    module.SYNC_SECONDS = float("inf")
    rounds = [append_ms(options.folder, options.records) for _ in range(ROUNDS)]
    plain, synced = (statistics.median(column) for column in zip(*rounds, strict=True))
    figures = {"append_ms": round(plain, 4), "told_with_fsync_ms": round(synced, 4), "bound_ms": BOUND_MS}
    print(json.dumps(figures))
    keep("journal_append", {**figures, "records": options.records})
    return 0 if plain < BOUND_MS else 1


if __name__ == "__main__":
    sys.exit(main())
