"""Claim: a controller that has been told 10,000 trials is still fast, and its memory grows with their number alone.

Space: 16 decisions of 5 options and 4 real numbers; the objective counts options and distances from a hidden candidate.
The first trials are random ones that were enqueued; the last 200 are the controller's own, and timed: ask and tell
together. Memory is what Python has allocated after 2,500, 5,000 and 10,000 trials.

Bounds: medians of 5 ms for evolution and local search, 50 ms for the predictor; a policy's sample of 50 tokens takes 20
ms; the second 5,000 trials take at most 1.3 times the memory of twice the 2,500 before them.

    python -m benchmarks.controllers_at_scale [--trials 10000]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import tracemalloc
from typing import Any

from benchmarks.record import keep
from controllers.base import Controller, ControllerConfig, make_controller
from controllers.evolution import EvolutionConfig
from controllers.local_search import LocalSearchConfig, RestartsConfig
from controllers.objective import Objective
from controllers.predictor.controller import PredictorConfig
from controllers.random_search import RandomConfig
from controllers.rl.reinforce import ReinforceConfig
from controllers.state import make_generator
from controllers.trial import Outcome, Status
from search_spaces.candidate import Candidate
from search_spaces.domains import Categorical, Float
from search_spaces.space import Space

TIMED, TOKENS, GROWTH = 200, 50, 1.3
OPTIONS, NUMBERS = 16, 4
BOUNDS: dict[str, tuple[ControllerConfig, float]] = {
    "random": (RandomConfig(), 5.0),
    "evolution": (EvolutionConfig(), 5.0),
    "local_search": (LocalSearchConfig(), 5.0),
    "restarts": (RestartsConfig(), 5.0),
    "predictor": (PredictorConfig(), 50.0),
}


def space() -> Space:
    """Where all of them search."""
    words = tuple(Categorical(tuple("abcde")) for _ in range(OPTIONS))
    return Space({"words": words, "numbers": tuple(Float(0.0, 1.0) for _ in range(NUMBERS))})


def value(candidate: Candidate) -> float:
    """How far a candidate agrees with all `a` and halves."""
    same = sum(item == "a" for item in candidate.values())
    return same - sum(abs(item - 0.5) for item in candidate.values() if isinstance(item, float))


def evaluate(controller: Controller[Any]) -> None:
    """Asks for a trial and tells what it is worth."""
    (trial,) = controller.ask()
    controller.tell(trial.trial_id, Outcome(Status.COMPLETED, {"value": value(trial.candidate)}, 1))


def filled(config: ControllerConfig, trials: int, marks: tuple[int, ...] = ()) -> tuple[Controller[Any], list[int]]:
    """A controller that was told so many random trials, and the bytes that were allocated at each mark."""
    controller = make_controller(config, space(), [Objective(metric="value")])
    rng, sizes = make_generator(0, "history"), []
    for number in range(1, trials + 1):
        controller.enqueue(controller.space.sample(rng))
        evaluate(controller)
        if number in marks:
            sizes.append(tracemalloc.get_traced_memory()[0])
    return controller, sizes


def times(controller: Controller[Any], n: int) -> list[float]:
    """Milliseconds of each of n asks and tells."""
    found = []
    for _ in range(n):
        start = time.perf_counter()
        evaluate(controller)
        found.append(1000 * (time.perf_counter() - start))
    return found


def growth(config: ControllerConfig, trials: int) -> float:
    """The memory of the second half of the trials, in units of twice that of the second quarter."""
    tracemalloc.start()
    # What is bounded, such as remembered rows, is full after a quarter.
    _, (quarter, half, whole) = filled(config, trials, (trials // 4, trials // 2, trials))
    tracemalloc.stop()
    return (whole - half) / (2 * (half - quarter))


def policy(samples: int = TIMED) -> list[float]:
    """Milliseconds of each sample of 50 tokens."""
    long = Space(tuple(Categorical(tuple("abcde")) for _ in range(TOKENS)))
    controller = make_controller(ReinforceConfig(), long, [Objective(metric="value")])
    found = []
    for _ in range(samples):
        start = time.perf_counter()
        controller.ask()
        found.append(1000 * (time.perf_counter() - start))
    return found


def main() -> int:
    """Measures, prints and keeps."""
    parser = argparse.ArgumentParser(description="Controllers after many trials.")
    parser.add_argument("--trials", type=int, default=10_000)
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    for name, (config, bound) in BOUNDS.items():
        controller, _ = filled(config, options.trials - TIMED)
        found = times(controller, TIMED)
        figures[name] = {
            "median_ms": round(statistics.median(found), 3),
            "worst_ms": round(max(found), 1),
            "bound_ms": bound,
            "growth": round(growth(config, options.trials), 3),
        }
        print(f"{name:<14} {figures[name]}", flush=True)
    figures["policy"] = {"median_ms": round(statistics.median(policy()), 3), "bound_ms": 20.0}
    print(f"{'policy':<14} {figures['policy']}")
    holds = all(row["median_ms"] <= row["bound_ms"] and row.get("growth", 0.0) <= GROWTH for row in figures.values())
    print(f"the claim {'holds' if holds else 'FAILS'}")
    keep("controllers_at_scale", {"trials": options.trials, "holds": holds, "figures": figures})
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
