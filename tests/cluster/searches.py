"""Small searches for the tests of driver and executors: functions of a two-hole space."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cluster.checkpoints import Checkpoints
from cluster.config import SearchConfig
from cluster.driver import Driver
from cluster.executors.base import Shared
from cluster.journal import Journal, Record, read
from cluster.preflight import check_controller
from cluster.replay import replay
from cluster.storage import Storage
from cluster.upkeep import Upkeep
from controllers.base import Controller
from controllers.random_search import RandomSearch
from controllers.table import Proposal

SPACE = {"x": {"float": [0.0, 1.0]}, "n": {"integer": [0, 5]}}


def config(function: str = "climb", **changes: Any) -> SearchConfig:
    """A random search of six trials with three reports each."""
    data: dict[str, Any] = {
        "name": "small",
        "task": {"kind": "function", "target": f"{__name__}:{function}"},
        "space": SPACE,
        "controller": {"kind": "random"},
        "budget": {"trials": 6, "epochs": 3},
        "objectives": [{"metric": "score", "mode": "max"}],
        "resources": {"concurrency": 1},
        "tracking": None,
        "seed": 1,
    }
    return SearchConfig.from_data(data | changes)


def score(spec: dict[str, Any], step: int) -> float:
    return -((spec["x"] - 0.3) ** 2) - 0.1 * spec["n"] + 0.01 * step


def climb(spec: dict[str, Any], trial: Any) -> Iterator[dict[str, float]]:
    """Counts its steps in its checkpoints, so that a step that is lost or done twice shows."""
    state = trial.restored or {"step": 0, "trace": []}
    for step in range(state["step"] + 1, trial.fidelity + 1):
        state = {"step": step, "trace": [*state["trace"], step]}
        trial.checkpoint(state)
        yield {"score": score(spec, step), "trace": float(len(state["trace"]))}


def plain(spec: dict[str, Any], trial: Any) -> Iterator[dict[str, float]]:
    """Keeps nothing."""
    for step in range(1, trial.fidelity + 1):
        yield {"score": score(spec, step)}


def slow(spec: dict[str, Any], trial: Any) -> Iterator[dict[str, float]]:
    """Takes a tenth of a second a step."""
    for figures in climb(spec, trial):
        time.sleep(0.1)
        yield figures


def broken(spec: dict[str, Any], trial: Any) -> Iterator[dict[str, float]]:
    """Always fails at its second step."""
    yield {"score": 0.0}
    raise ValueError(f"bad luck with {spec['n']}")


def fails_for_odd(spec: dict[str, Any], trial: Any) -> Iterator[dict[str, float]]:
    """Fails where n is odd."""
    if spec["n"] % 2:
        raise RuntimeError("odd")
    yield from plain(spec, trial)


def not_a_number(spec: dict[str, Any], trial: Any) -> Iterator[dict[str, float]]:
    """Ends with a value that is none."""
    yield {"score": 1.0}
    yield {"score": float("nan")}


def says(spec: dict[str, Any], trial: Any) -> Iterator[dict[str, float]]:
    """Prints, and tells which process it is in and how many threads torch has."""
    import torch

    print(f"hello from {trial.trial_id}")
    yield {"score": 0.0, "pid": float(os.getpid()), "threads": float(torch.get_num_threads())}


def dies_once(spec: dict[str, Any], trial: Any) -> Iterator[dict[str, float]]:
    """Kills its own process after the second step of a first attempt."""
    for figures in climb(spec, trial):
        if trial.attempt == 1 and figures["trace"] == 3.0 and trial.trial_id == "t000001":
            os.kill(os.getpid(), signal.SIGKILL)
        yield figures


def dies(spec: dict[str, Any], trial: Any) -> Iterator[dict[str, float]]:
    """Kills its own process at once, where n is odd."""
    if spec["n"] % 2:
        os.kill(os.getpid(), signal.SIGKILL)
    yield from plain(spec, trial)


class Repeats(RandomSearch):
    """Proposes one candidate for ever.

    Args:
        search: The search.
        proposed: Called at each proposal.
    """

    redraws = False

    def __init__(self, search: SearchConfig, proposed: Callable[[], None] = lambda: None) -> None:
        options = {"fidelity": search.fidelity, "budget": search.budget.trials}
        super().__init__(
            search.controller, search.make_space(), search.objectives, search.constraints, search.seed, **options
        )
        self._proposed = proposed

    def _propose(self) -> Proposal:
        self._proposed()
        return Proposal(self.space.candidate({"x": 0.5, "n": 1}))


def make_driver(
    search: SearchConfig, folder: Path | Storage, **options: Any
) -> tuple[Driver, Controller[Any], Journal, Shared]:
    """A driver with its journal, where the journal in `folder` ends."""
    storage = folder if isinstance(folder, Storage) else Storage.open(folder)
    controller = options.pop("controller", None) or check_controller(search, search.make_space())
    journal = Journal.open(storage, {"space": controller.space.fingerprint, "data": "", "seed": search.seed})
    checkpoints = Checkpoints(storage)
    replayed = replay(storage, controller, checkpoints)
    clock = {"clock": options.pop("clock")} if "clock" in options else {}
    upkeep = Upkeep(storage, journal, replayed, options.pop("on_tick", ()), **clock)
    many = search.resources.concurrency or 1
    driver = Driver(
        search, controller, journal, storage, checkpoints, replayed.ledger, upkeep, concurrency=many, **options
    )
    return driver, controller, journal, Shared(search.task, controller.space, None)


def records(folder: Path | Storage, *kinds: str) -> list[Record]:
    """The journal's records of some kinds."""
    storage = folder if isinstance(folder, Storage) else Storage.open(folder)
    return [record for record in read(storage) if not kinds or record.kind in kinds]


def candidates(folder: Path) -> list[Any]:
    """What was asked, in ask order."""
    return [trial["candidate"] for record in records(folder, "asked") for trial in record.fields["trials"]]


def steps(folder: Path) -> list[tuple[str, int]]:
    """Trial and step of every report, in journal order."""
    return [(record.fields["trial"], record.fields["step"]) for record in records(folder, "reported")]


def told(folder: Path | Storage) -> dict[str, dict[str, Any]]:
    """Trial -> outcome; a trial that is told twice fails."""
    found: dict[str, dict[str, Any]] = {}
    for record in records(folder, "told"):
        assert record.fields["trial"] not in found, f"{record.fields['trial']} was told twice"
        found[record.fields["trial"]] = record.fields["outcome"]
    return found
