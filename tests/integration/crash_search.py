"""A search that kills itself.

    python -m tests.integration.crash_search FOLDER EXECUTOR CONCURRENCY TRIALS FUNCTION KILL

KILL is the number of records after which the driver is killed with SIGKILL (those of the clock, which come when time
has passed, not counted), `never`, or `report:N`: after the N-th report was judged and before it is written down.
"""

import os
import signal
import sys
from typing import Any

from cluster.journal import Journal
from cluster.runtime import End, drive
from cluster.storage import Storage
from tests.cluster import searches
from trainers.tasks.function import Function


def die_after(kill: str) -> None:
    """Have this process killed at a record of its own."""
    if kill == "never":
        return
    append = Journal.append
    before, _, number = kill.rpartition(":")
    count = 0

    def counted(journal: Journal, kind: str, **fields: Any) -> int:
        nonlocal count
        if before and kind == "reported":
            count += 1
            if count >= int(number):
                os.kill(os.getpid(), signal.SIGKILL)
        offset = append(journal, kind, **fields)
        if not before and kind != "clock":
            count += 1
            if count >= int(number):
                os.kill(os.getpid(), signal.SIGKILL)
        return offset

    Journal.append = counted  # type: ignore[method-assign]


def run(folder: str, executor: Any, concurrency: int, trials: int, function: str) -> End:
    """Begin the search, or go on with it; `pool` runs the trials in the actor pool."""
    if executor == "pool":
        Function.pooled, executor = ("train",), "tune"
    search = searches.config(
        function,
        budget={"trials": trials, "epochs": 3},
        # A trial that is to die at its second step must not be stopped after its first.
        pruner=None if function == "dies_once" else {"kind": "asha", "grace": 1, "factor": 3},
        resources={"concurrency": concurrency},
        keep=100,
    )
    return drive(search, Storage.open(folder), executor=executor)


if __name__ == "__main__":
    folder, executor, concurrency, trials, function, kill = sys.argv[1:]
    die_after(kill)
    print(run(folder, executor, int(concurrency), int(trials), function), flush=True)
