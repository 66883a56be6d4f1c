"""Claim: evaluations that cost nothing go through the actor pool, the journal and the tables at 1,000 a second or more.

A table of 15,625 candidates (six decisions of five options) stands in for training; random search asks for 10,000 of
them, 128 at a time, in one run on one Ray of two CPUs, without MLflow. The rate is trials over the time from the start
of the run to its end: reading the table, starting the actors, and writing journal, `trials.parquet` and
`reports.parquet` are in it, starting Ray is not. The figure is the median of three rounds.

- pool: the rate, at 128 at a time.
- one: the rate with one trial at a time, as a controller needs that learns from each outcome before it proposes.
- synced: syncs of the journal in the last round of `pool`; one a trial would be 10,000.

Bound: pool reaches at least 1,000 a second.

    python -m benchmarks.pool_rate [--set trials=10000 rounds=3 concurrency=128]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import keep

RATE = 1000.0
OPTIONS = ["none", "skip", "conv1", "conv3", "pool"]
PATHS = [f"edge{i}" for i in range(6)]
ONE_SHARE = 10
"""One of so many trials is enough to know the rate of one at a time."""


def make_table(path: Path) -> None:
    """Writes every candidate with a figure that its choices decide."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(itertools.product(range(len(OPTIONS)), repeat=len(PATHS)))
    columns: dict[str, Any] = {f"p:{name}": [OPTIONS[row[i]] for row in rows] for i, name in enumerate(PATHS)}
    columns["m:val/accuracy"] = [sum(choice * (i + 1) for i, choice in enumerate(row)) / 84 for row in rows]
    pq.write_table(pa.table(columns), path)


def rate(table: Path, folder: str, trials: int, concurrency: int) -> float:
    """Trials a second of one run, which must evaluate all and find a good one."""
    from cluster.config import SearchConfig
    from cluster.runs import Run
    from cluster.runtime import drive
    from cluster.tables import read_trials

    config = SearchConfig.from_data(
        {
            "name": "run",
            "task": {"kind": "table", "path": str(table)},
            "space": {path: {"categorical": OPTIONS} for path in PATHS},
            "controller": {"kind": "random"},
            "budget": {"trials": trials},
            "objectives": [{"metric": "val/accuracy", "mode": "max"}],
            "resources": {"concurrency": concurrency},
            "tracking": None,
            "storage": folder,
        }
    )
    run = Run.claim(config, exact=True)
    began = time.perf_counter()
    end = drive(run.config, run.storage)
    seconds = time.perf_counter() - began
    found = read_trials(run.storage)
    if end.code != 0 or found["status"].to_pylist() != ["COMPLETED"] * trials:
        raise RuntimeError(f"the search did not end as it should: {end}")
    return trials / seconds


def measure(trials: int, rounds: int, concurrency: int) -> dict[str, float]:
    """Run both in turn, and return the medians."""
    rates: dict[str, list[float]] = {"pool": [], "one": []}
    synced: list[int] = []
    fsync = os.fsync

    def counted(descriptor: int) -> None:
        synced.append(descriptor)
        fsync(descriptor)

    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "table.parquet"
        make_table(table)
        for number in range(rounds):
            synced.clear()
            os.fsync = counted
            rates["pool"].append(rate(table, f"{scratch}/pool{number}", trials, concurrency))
            os.fsync = fsync
            rates["one"].append(rate(table, f"{scratch}/one{number}", trials // ONE_SHARE, 1))
            print(f"round {number + 1}: " + ", ".join(f"{k} {v[-1]:.0f}/s" for k, v in rates.items()), flush=True)
    figures = {f"{name}_per_s": round(statistics.median(values), 1) for name, values in rates.items()}
    return {**figures, "synced": len(synced)}


def main() -> int:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=N", help="trials, rounds, concurrency")
    counts = {"trials": 10000, "rounds": 3, "concurrency": 128}
    for item in parser.parse_args().set:
        name, _, value = item.partition("=")
        if name not in counts:
            parser.error(f"--set takes trials, rounds and concurrency; got {name!r}")
        counts[name] = int(value)
    from cluster.ray_runtime import RayRuntime

    with RayRuntime(cpus=2):
        figures = measure(**counts)
    holds = figures["pool_per_s"] >= RATE
    print(json.dumps({**figures, "holds": holds}, indent=2))
    keep("pool_rate", {**counts, **figures, "holds": holds})
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
