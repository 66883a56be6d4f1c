"""Journals as a driver writes them, for the tests of their readers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster.journal import Journal
from cluster.storage import Storage
from controllers.trial import Outcome, Status, Trial
from search_spaces.candidate import Candidate

BEGAN = 1_760_000_000.0
HEADER = {"root_seed": 0}
SEARCH_FILE = """
schema: 1
name: sample
task: {kind: function, target: "m:f"}
controller: {kind: random}
budget: {trials: 8}
objectives: [{metric: val/accuracy, mode: max}]
constraints: [{metric: cost/params, max: 1000}]
seed: 7
"""


def storage(folder: Path) -> Storage:
    """A storage with the search file that the sink looks at."""
    made = Storage.open(folder)
    made.write_atomic("search.yaml", SEARCH_FILE.encode())
    return made


def trial(number: int, **fields: Any) -> Trial:
    """Trial `number`, with a candidate of every kind of value."""
    values = {
        "architecture/depth": number % 5,
        "architecture/skips": (0, number),
        "recipe/lr": 0.1 / (number + 1),
        "recipe/mix": "mixup" if number % 2 else "none",
        "recipe/nesterov": number % 2 == 0,
    }
    if number % 2:
        values["recipe/mix/mixup/alpha"] = 0.2
    return Trial(f"t{number:06d}", Candidate(values), seed=2**63 + number, **fields)


def accuracy(number: int, step: int) -> float:
    """A curve that rises with the step, and whose end differs by trial."""
    return round(1.0 - 1.0 / (step + 1 + number % 3), 6)


def moment(number: int, step: int) -> float:
    """When trial `number` reported `step`, seconds since 1970."""
    return BEGAN + 10.0 * number + step


def ask(journal: Journal, *trials: Trial) -> None:
    """Write that the controller proposed these."""
    time = moment(int(trials[0].trial_id[1:]), 0)
    journal.append("asked", n=len(trials), trials=[one.to_data() for one in trials], time=time)


def start(journal: Journal, number: int, attempt: int = 1) -> None:
    """Write that an attempt began."""
    time = moment(number, 0) + 0.5 * attempt
    journal.append("started", trial=f"t{number:06d}", attempt=attempt, node="local", time=time)


def report(journal: Journal, number: int, step: int, attempt: int = 1, **metrics: float) -> None:
    """Write one report."""
    values = {"val/accuracy": accuracy(number, step), "train/loss": 1.0 / step, "epoch": float(step), **metrics}
    journal.append(
        "reported",
        trial=f"t{number:06d}",
        attempt=attempt,
        step=step,
        time=moment(number, step),
        metrics=values,
        verdict="CONTINUE",
        checkpoint=f"t{number:06d}/{attempt}-{step}.pt",
        done=False,
    )


def tell(journal: Journal, number: int, steps: int = 2, status: Status = Status.COMPLETED, **fields: Any) -> None:
    """Write how a trial ended."""
    metrics = {"val/accuracy": accuracy(number, steps), "cost/params": 100.0 + number} if steps else {}
    cost = {"seconds": 1.5, "device_seconds": 3.0}
    outcome = Outcome(status, metrics, steps, cost, **fields)
    journal.append("told", trial=f"t{number:06d}", outcome=outcome.to_data(), time=moment(number, steps) + 0.25)


def run_trial(journal: Journal, number: int, steps: int = 2, **fields: Any) -> None:
    """Write a whole trial."""
    ask(journal, trial(number, fidelity=steps))
    start(journal, number)
    for step in range(1, steps + 1):
        report(journal, number, step)
    tell(journal, number, steps, **fields)


def events(trials: int = 3) -> Iterator[tuple[str, dict[str, Any]]]:
    """Records of every shape: empty, nested, long, not finite, not ASCII."""
    yield "clock", {"seconds": 0.0}
    for number in range(trials):
        yield "asked", {"n": 1, "trials": [trial(number).to_data()], "time": moment(number, 0)}
        yield "reported", {"trial": f"t{number:06d}", "metrics": {"loss": math.inf, "x": math.nan, "y": -math.inf}}
        yield "told", {"trial": f"t{number:06d}", "outcome": {"reason": "Übung\n" * number, "payload": None}}
    yield "end", {"reason": "budget.trials"}
