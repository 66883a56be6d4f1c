"""A search as every controller must survive it, made of steps that depend on the controller and on nothing else.

Run as a program it plays the scenario in a process of its own: `whole FOLDER KIND` plays it to the end and leaves
states behind at three cuts; `rest FOLDER KIND CUT` goes on from one of them.
"""

import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from controllers.base import Controller, ControllerConfig, make_controller
from controllers.objective import Constraint, Objective
from controllers.pruners import AshaConfig
from controllers.state import decode, encode
from controllers.supernet import SupernetConfig
from controllers.trial import Outcome, Status, Trial, Verdict
from search_spaces.domains import Categorical, Composition, First, Float, Integer, Subset
from search_spaces.space import Space
from search_spaces.spec import kinds

OBJECTIVES = [Objective(metric="value", of="max:2")]
CONSTRAINTS = [Constraint(metric="size", max=0.9), *(Constraint(metric=name, max=9.0) for name in ("a", "b", "c", "d"))]
FIDELITY = 3
PERIODS = 5


def registered() -> dict[str, type[ControllerConfig]]:
    """The controllers that the project brings, but for those that begin with a supernet.

    These take spaces that can be relaxed alone; `tests/controllers/test_supernet.py` cuts them.
    """
    found = kinds(ControllerConfig)
    return {
        kind: config  # type: ignore[misc]
        for kind, config in found.items()
        if config.__module__.startswith("controllers.") and not issubclass(config, SupernetConfig)
    }


def config_of(kind: str, **fields: Any) -> ControllerConfig:
    """The default settings, with bins where there are bins."""
    config = registered()[kind]
    bins = {"bins": 3} if "bins" in config.model_fields else {}
    return config(**bins | fields)


def mixed_space() -> Space:
    """A space with every kind of domain, conditions, anchors, and a decision that leaves no choice."""

    def item() -> dict[str, Any]:
        return {"width": Categorical((8, 16, 32)), "inputs": Subset(of="items")}

    return Space(
        {
            "items": First((item(), item(), item(), item()), low=2),
            "only": Categorical(("one",)),
            "mix": Categorical({"off": {}, "on": {"alpha": Float(0.1, 1.0, log=True), "n": Integer(1, 4)}}),
            "stages": Composition(6, 3),
        }
    )


def unit(*key: object) -> float:
    """A number in [0, 1) that depends on `key` alone."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


class Scenario:
    """Plays a search: tells out of order, fails some trials, prunes some, and keeps one waiting.

    Args:
        controller: Who is asked.
        at: Number of steps played, the reports of each pending trial, and trials told.
    """

    def __init__(self, controller: Controller[Any], at: dict[str, Any] | None = None) -> None:
        self.controller = controller
        self.at: dict[str, Any] = at or {"step": 0, "reports": {}, "stopped": [], "told": 0}
        self.trace: list[Any] = []

    def play(self, told: int) -> None:
        """Go on until so many trials have been told in all."""
        while self.at["told"] < told:
            self._step()

    def _step(self) -> None:
        self.at["step"] += 1
        pending = self.controller.pending
        if len(pending) < 3 or (len(pending) < 7 and unit("ask", self.at["step"]) < 0.3):
            asked = self.controller.ask(1 + self.at["step"] % 3)
            self.trace.append([trial.to_data() for trial in asked])
        waiting = [trial for trial in self.controller.pending if trial.number != 1 and self._ready(trial)]
        if waiting:
            self._advance(waiting[int(unit("pick", self.at["step"]) * len(waiting))])

    def _ready(self, trial: Trial) -> bool:
        return trial.same_as is None or trial.same_as in self.controller.records

    def _advance(self, trial: Trial) -> None:
        name, reports = trial.trial_id, self.at["reports"]
        if trial.same_as is not None:
            known = self.controller.records[trial.same_as].outcome
            self._tell(trial, Outcome(known.status, known.metrics, known.steps, source="cache"))
            return
        done = reports.get(name, 0)
        ended = name in self.at["stopped"] or done == trial.fidelity
        if not ended and not (done == 1 and trial.number % 9 == 5):
            reports[name] = done + 1
            verdict = self.controller.report(name, done + 1, self._metrics(trial, done + 1))
            self.trace.append([name, done + 1, verdict])
            if verdict is Verdict.STOP:
                self.at["stopped"].append(name)
        elif not ended:
            self._tell(trial, Outcome(Status.FAILED, {}, done, reason="scripted"))
        else:
            status = Status.PRUNED if done < trial.fidelity else Status.COMPLETED
            self._tell(trial, Outcome(status, self._metrics(trial, done), done))

    def _metrics(self, trial: Trial, step: int) -> dict[str, float]:
        value = math.nan if trial.number % 11 == 7 else unit(trial.candidate.to_json()) * step / trial.fidelity
        return {"value": value, "size": unit("size", trial.candidate.to_json())} | dict.fromkeys("dcba", 0.5)

    def _tell(self, trial: Trial, outcome: Outcome) -> None:
        self.at["reports"].pop(trial.trial_id, None)
        self.at["told"] += 1
        record = self.controller.tell(trial.trial_id, outcome)
        self.trace.append([trial.trial_id, record.outcome.status, record.values, record.feasible])


def period_of(kind: str) -> int:
    """Told trials between two updates."""
    return int(getattr(config_of(kind), "batch", 8))


def made(kind: str) -> Controller[Any]:
    """A controller at the start of the scenario."""
    return make_controller(
        config_of(kind), mixed_space(), OBJECTIVES, CONSTRAINTS, 11, fidelity=FIDELITY, pruner=AshaConfig(factor=2)
    )


def _keep(folder: Path, name: str, scenario: Scenario) -> None:
    data, arrays = encode(scenario.controller.state_dict())
    text = json.dumps({"state": data, "at": scenario.at, "trace": len(scenario.trace)}, allow_nan=False)
    (folder / f"{name}.json").write_text(text)
    np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]


def kept(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, Any], int]:
    """The state, the place in the scenario and the length of the trace that were left behind."""
    data = json.loads((folder / f"{name}.json").read_text())
    with np.load(folder / f"{name}.npz") as arrays:
        return decode(data["state"], dict(arrays)), data["at"], data["trace"]


def main(what: str, folder: Path, kind: str, *cuts: str) -> None:
    """Play all of it, or the rest of it from each cut."""
    period = period_of(kind)
    end = (PERIODS + 2) * period
    if what == "whole":
        scenario = Scenario(made(kind))
        for name, told in {"ask0": 0, "middle": period // 2 + 1, "update": period}.items():
            scenario.play(told)
            _keep(folder, name, scenario)
        scenario.play(end)
        _keep(folder, "end", scenario)
        (folder / "trace.json").write_text(json.dumps(scenario.trace))
    for cut in cuts:
        state, at, _ = kept(folder, cut)
        controller = made(kind)
        controller.load_state_dict(state)
        scenario = Scenario(controller, at)
        scenario.play(end)
        _keep(folder, f"{cut}-end", scenario)
        (folder / f"{cut}-trace.json").write_text(json.dumps(scenario.trace))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
