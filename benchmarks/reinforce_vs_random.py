"""Claim: REINFORCE finds better chains than random search with as many evaluations.

Space: the chain of NAS-RL with 6 layers (filter height, width, number, and the skip connections): 64**6 * 2**15
= 2.3e15 networks. Objective: how far a chain agrees with one that is hidden from the search, in [0, 1], the mean over
the layers of (a) the part of height, width and number that agrees and (b) the part of the possible inputs that are
rightly there or rightly absent; nothing is trained, and nothing is noisy. Both controllers get the same number of
evaluations and the paper's settings: two LSTM layers of 35 units, Adam at 6e-4, batches of 8, reward = value**3.
Ten seeds each, every seed with a hidden chain of its own.

Bound: the mean over the seeds of the best value found is higher for REINFORCE by more than the two spreads (standard
deviations) together divided by the root of the number of seeds.

    python -m benchmarks.reinforce_vs_random [--seeds 10] [--evaluations 2000]
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import asdict, dataclass

from benchmarks.record import keep
from controllers.base import ControllerConfig, make_controller
from controllers.objective import Objective
from controllers.random_search import RandomConfig
from controllers.rl.reinforce import ReinforceConfig
from controllers.state import make_generator
from controllers.trial import Outcome, Status
from search_spaces.architectures.chain import chain
from search_spaces.candidate import Candidate
from search_spaces.space import Space

LAYERS, LAST = 6, 200
FIELDS = ("height", "width", "filters")


@dataclass(frozen=True)
class Run:
    """One search.

    Args:
        best: The best value found.
        last: Mean value of the last candidates.
        seconds: How long it took, controller and objective.
    """

    best: float
    last: float
    seconds: float


def agreement(candidate: Candidate, hidden: Candidate, length: int = LAYERS) -> float:
    """How far two chains of so many layers agree, in [0, 1]."""
    layers = []
    for i in range(length):
        where = f"layers/{i}"
        same = statistics.fmean(candidate[f"{where}/{name}"] == hidden[f"{where}/{name}"] for name in FIELDS)
        apart = set(candidate.get(f"{where}/inputs", ())) ^ set(hidden.get(f"{where}/inputs", ()))
        layers.append((same + 1 - len(apart) / max(i, 1)) / 2)
    return statistics.fmean(layers)


def search(config: ControllerConfig, seed: int, evaluations: int, length: int = LAYERS) -> Run:
    """One search with a hidden chain that depends on the seed."""
    space = Space(chain(length))
    hidden = space.sample(make_generator(seed, "hidden chain"))
    controller = make_controller(config, space, [Objective(metric="agreement")], seed=seed, budget=evaluations)
    values: list[float] = []
    start = time.perf_counter()
    while len(values) < evaluations and controller.finished is None:
        (trial,) = controller.ask(1)
        if trial.same_as is not None:
            # Answered from the cache: no evaluation.
            known = controller.records[trial.same_as].outcome
            controller.tell(trial.trial_id, Outcome(known.status, known.metrics, 1, source="cache"))
            continue
        values.append(agreement(trial.candidate, hidden, length))
        controller.tell(trial.trial_id, Outcome(Status.COMPLETED, {"agreement": values[-1]}, 1))
    return Run(max(values), statistics.fmean(values[-LAST:]), time.perf_counter() - start)


def compare(
    seeds: int, evaluations: int, length: int = LAYERS, reinforce: ReinforceConfig | None = None
) -> dict[str, list[Run]]:
    """Both controllers, seed by seed."""
    configs: dict[str, ControllerConfig] = {"random": RandomConfig(), "reinforce": reinforce or ReinforceConfig()}
    return {
        name: [search(config, seed, evaluations, length) for seed in range(seeds)] for name, config in configs.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="REINFORCE against random search.")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--evaluations", type=int, default=2000)
    arguments = parser.parse_args()
    runs = compare(arguments.seeds, arguments.evaluations)
    means, spreads = {}, {}
    print(f"{arguments.evaluations} evaluations, {arguments.seeds} seeds; best found, mean of the last {LAST}, seconds")
    for name, found in runs.items():
        best = [run.best for run in found]
        means[name], spreads[name] = statistics.fmean(best), statistics.stdev(best)
        last, seconds = ([getattr(run, field) for run in found] for field in ("last", "seconds"))
        print(
            f"{name:>10}  {means[name]:.4f} +- {spreads[name]:.4f}   {statistics.fmean(last):.4f} +- "
            f"{statistics.stdev(last):.4f}   {statistics.median(seconds):.1f}"
        )
    wins = sum(a.best > b.best for a, b in zip(runs["reinforce"], runs["random"], strict=True))
    bound = (spreads["reinforce"] + spreads["random"]) / arguments.seeds**0.5
    holds = means["reinforce"] - means["random"] > bound
    print(f"REINFORCE is ahead on {wins} of {arguments.seeds} seeds; the claim {'holds' if holds else 'FAILS'}")
    data = {name: [asdict(run) for run in found] for name, found in runs.items()}
    report = {"evaluations": arguments.evaluations, "holds": holds, "runs": data}
    keep("reinforce_vs_random", report)
    raise SystemExit(0 if holds else 1)


if __name__ == "__main__":
    main()
