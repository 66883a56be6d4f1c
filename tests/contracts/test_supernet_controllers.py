"""What every controller that begins with a supernet must keep to, besides what holds for its rounds."""

import json
from typing import Any

import numpy as np
import pytest

from controllers.base import Controller, ControllerConfig, make_controller
from controllers.objective import Objective
from controllers.pruners import AshaConfig, MedianConfig, PrunerConfig
from controllers.state import decode, difference, encode
from controllers.supernet import SupernetConfig
from controllers.trial import Outcome, Status, Trial, Verdict
from search_spaces.architectures.darts import darts
from search_spaces.architectures.enas_macro import enas_macro
from search_spaces.share import Shareable
from search_spaces.space import Space
from search_spaces.spec import kinds
from tests.contracts.controller_scenario import unit

DARTS, ENAS = Space({"net": darts(layers=2, channels=2, nodes=1)}), Space({"net": enas_macro(3, channels=4)})
OBJECTIVES = [Objective(metric="value")]


def _registered() -> dict[str, type[SupernetConfig]]:
    make_controller(kinds(ControllerConfig)["random"](), DARTS, OBJECTIVES)  # type: ignore[arg-type]
    found = kinds(ControllerConfig)
    return {kind: config for kind, config in found.items() if issubclass(config, SupernetConfig)}


KINDS = tuple(_registered())


def _space(kind: str) -> Space:
    return ENAS if kind == "enas" else DARTS


def _made(kind: str, seed: int = 0, config: Any = None, **options: Any) -> Controller[Any]:
    made = _registered()[kind](**(config or {}))
    return make_controller(made, _space(kind), OBJECTIVES, (), seed, **{"fidelity": 3, **options})


def _payload(space: Space, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    if isinstance(space.template["net"], Shareable):
        chosen = Space(space.template["net"]).sample(rng)
        return {"candidate": json.loads(json.dumps(dict(chosen)))}
    layout = space.template["net"].layout()
    return {"logits": {name: rng.normal(size=shape).tolist() for name, shape in layout.items()}}


def _done(space: Space, trial: Trial, status: Status = Status.COMPLETED) -> Outcome:
    source = "run" if trial.same_as is None else "cache"
    payload = _payload(space, trial.number) if trial.mode == "supernet" else None
    value = 9.0 if trial.mode == "supernet" else unit(trial.candidate.to_json())
    return Outcome(status, {"value": value}, 3, source=source, payload=payload)  # type: ignore[arg-type]


def _run(controller: Controller[Any], trials: int) -> list[Trial]:
    found: list[Trial] = []
    while len(found) < trials and controller.finished is None:
        for trial in controller.ask(2):
            controller.tell(trial.trial_id, _done(controller.space, trial))
            found.append(trial)
    return found


def test_all_are_here() -> None:
    assert set(KINDS) >= {"darts", "gdas", "enas"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides(kind: str) -> None:
    first, same, other = (_run(_made(kind, seed), 12) for seed in (1, 1, 2))
    assert first == same
    assert [t.candidate for t in first] != [t.candidate for t in other]
    assert {t.seed for t in first}.isdisjoint(t.seed for t in other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", range(1, 8))
def test_a_cut_search_goes_on_bit_for_bit(kind: str, cut: int) -> None:
    def play(controller: Controller[Any], start: int, end: int) -> list[Any]:
        trace: list[Any] = []
        for step in range(start, end):
            trace.append([trial.to_data() for trial in controller.ask(1)])
            for trial in controller.pending[: int(step % 3 > 0)]:
                status = Status.FAILED if step % 7 == 5 else Status.COMPLETED
                controller.tell(trial.trial_id, _done(controller.space, trial, status))
        return trace

    one, other, again = (_made(kind, 3, {"baselines": 2}) for _ in range(3))
    whole, first = play(one, 0, 16), play(other, 0, cut)
    again.load_state_dict(decode(*encode(other.state_dict())))
    assert first + play(again, cut, 16) == whole
    assert difference(again.state_dict(), one.state_dict()) is None


@pytest.mark.parametrize("kind", KINDS)
def test_failures_and_pruned_trials_are_survived_and_never_the_best(kind: str) -> None:
    controller = _made(kind)
    good: list[str] = []
    for number in range(24):
        (trial,) = controller.ask(1)
        status = (Status.COMPLETED, Status.FAILED, Status.PRUNED)[number // 3 % 3]
        if trial.mode == "supernet":
            status = Status.FAILED if number % 2 else Status.COMPLETED
        elif status is Status.COMPLETED:
            good.append(trial.trial_id)
        controller.tell(trial.trial_id, _done(controller.space, trial, status))
    values = {name: controller.records[name].values for name in good}
    assert good and controller.best == max(good, key=lambda name: values[name] or (0.0,))


@pytest.mark.parametrize("kind", KINDS)
def test_a_space_whose_candidates_are_all_evaluated_is_exhausted(kind: str) -> None:
    controller = _made(kind, config={"baselines": 400}, budget=10**6)
    space = _space(kind)
    size = space.cardinality()
    assert size is not None and size < 3000
    trials = _run(controller, 10**6)
    assert controller.finished == "exhausted"
    evaluated = [trial for trial in trials if trial.mode == "train" and trial.same_as is None]
    assert len(evaluated) == len({space.canonical(trial.candidate) for trial in evaluated}) <= size
    assert len({trial.candidate for trial in trials if trial.mode == "train"}) == size
    before = controller.state_dict()
    assert controller.ask(3) == [] and difference(before, controller.state_dict()) is None


@pytest.mark.parametrize("pruner", [AshaConfig(), MedianConfig()], ids=["asha", "median"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_pruner_compares_a_supernet_with_networks(kind: str, pruner: PrunerConfig) -> None:
    controller = _made(kind, pruner=pruner, fidelity=6)
    verdicts = set()
    for _ in range(30):
        (trial,) = controller.ask(1)
        supernet = trial.mode == "supernet"
        for step in range(1, 7):
            verdict = controller.report(trial.trial_id, step, {"value": 0.3 if supernet else 0.9})
            verdicts |= {verdict} if supernet or trial.same_as is None else set()
        controller.tell(trial.trial_id, _done(controller.space, trial))
    assert verdicts == {Verdict.CONTINUE}


@pytest.mark.parametrize("kind", KINDS)
def test_a_supernet_is_not_repeated(kind: str) -> None:
    controller = _made(kind, repeats=3)
    modes = []
    for _ in range(8):
        (trial,) = controller.ask(1)
        modes.append(trial.mode)
        controller.tell(trial.trial_id, _done(controller.space, trial))
    assert modes == ["supernet", *["train"] * 6, "supernet"]
