"""Claim: on a table of networks the predictor-guided search comes nearest to the best with the fewest evaluations.

Table: the 15,625 networks of NAS-Bench-201 with their validation accuracies after 12 epochs on CIFAR-10 and CIFAR-100.
Regret: the best accuracy of the table less the best that was found, in points, after 50, 100, 200 and 300 queries. A
query is a network that was not asked for before, in canonical form: what repeats is answered from a cache, for all
methods. Each has its default settings; Optuna's TPE and NNI's evolution are called directly. 100 seeds each.

Bound: the mean regret of the predictor is at most 0.45, 0.05 and 0.01 after 50, 100 and 200 queries, and at each mark
it is no greater than that of any peer by more than the standard error of their difference.

    python -m benchmarks.table_regret [--seeds 100] [--queries 300] [--processes 2] [--methods predictor ...]
"""

from __future__ import annotations

import argparse
import functools
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import keep
from controllers.base import ControllerConfig, make_controller
from controllers.evolution import EvolutionConfig
from controllers.local_search import LocalSearchConfig, RestartsConfig
from controllers.objective import Objective
from controllers.predictor.controller import PredictorConfig
from controllers.random_search import RandomConfig
from controllers.rl.reinforce import ReinforceConfig
from controllers.trial import Outcome, Status
from search_spaces.architectures.nasbench201 import OPERATIONS, NasBench201, nasbench201
from search_spaces.candidate import Candidate
from search_spaces.space import Space

TABLE = Path(__file__).resolve().parents[2] / "shared" / "data" / "nasbench201-12epochs.parquet"
METRICS = ("cifar10_val", "cifar100_val")
MARKS, BARS = (50, 100, 200, 300), {50: 0.45, 100: 0.05, 200: 0.01}
OURS: dict[str, ControllerConfig] = {
    "random": RandomConfig(),
    "evolution": EvolutionConfig(),
    "local_search": LocalSearchConfig(),
    "restarts": RestartsConfig(),
    "reinforce": ReinforceConfig(),
    "predictor": PredictorConfig(),
}
PEERS = ("optuna-tpe", "nni-evolution")
REPEATS = 100
"""Asks a query that may repeat themselves before a method counts as converged."""
Ask, Tell = Callable[[int], dict[str, Any]], Callable[[int, dict[str, Any], float], None]


@dataclass(frozen=True)
class Run:
    """One search.

    Args:
        found: The best accuracy after each query.
        each: Milliseconds a query, the table's own time included.
    """

    found: tuple[float, ...]
    each: float


@functools.cache
def table(file: Path, metric: str) -> dict[tuple[Any, ...], float]:
    """The operations of each network -> its accuracy in percent."""
    from pyarrow import parquet

    columns = parquet.read_table(file, columns=["architecture", metric]).to_pydict()
    edges = [NasBench201.from_string(text).edges for text in columns["architecture"]]
    return dict(zip(edges, columns[metric], strict=True))


@functools.cache
def space() -> Space:
    """All networks."""
    return Space(nasbench201())


@functools.cache
def canonical(edges: tuple[Any, ...]) -> Candidate:
    """The network that stands for all equal ones."""
    return space().canonical(Candidate({f"edges/{i}": operation for i, operation in enumerate(edges)}))


def ours(config: ControllerConfig, values: Mapping[tuple[Any, ...], float], seed: int, queries: int) -> Iterator[float]:
    """Yields the accuracy of each query of a controller of ours."""
    controller = make_controller(config, space(), [Objective(metric="accuracy")], seed=seed, budget=queries)
    while controller.finished is None:
        (trial,) = controller.ask()
        accuracy = {"accuracy": values[tuple(trial.candidate[f"edges/{i}"] for i in range(6))]}
        if trial.same_as is not None:
            known = controller.records[trial.same_as].outcome
            controller.tell(trial.trial_id, Outcome(known.status, known.metrics, 1, source="cache"))
            continue
        controller.tell(trial.trial_id, Outcome(Status.COMPLETED, accuracy, 1))
        yield accuracy["accuracy"]


def theirs(name: str, values: Mapping[tuple[Any, ...], float], seed: int) -> Iterator[float]:
    """Yields the accuracy of each query of a peer; what repeats is told what was told of it first."""
    ask, tell = {"optuna-tpe": optuna_tpe, "nni-evolution": nni_evolution}[name](seed)
    known: dict[Candidate, float] = {}
    repeated = 0
    for number in range(sys.maxsize):
        asked = ask(number)
        edges = tuple(asked[f"edges/{i}"] for i in range(6))
        first = canonical(edges) not in known
        accuracy = known.setdefault(canonical(edges), values[edges])
        tell(number, asked, accuracy)
        repeated = 0 if first else repeated + 1
        if first:
            yield accuracy
        elif repeated > REPEATS * len(known):
            return


def optuna_tpe(seed: int) -> tuple[Ask, Tell]:
    """Optuna's tree-structured Parzen estimator."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    trials: dict[int, Any] = {}

    def ask(number: int) -> dict[str, Any]:
        trials[number] = study.ask()
        return {f"edges/{i}": trials[number].suggest_categorical(f"edges/{i}", OPERATIONS) for i in range(6)}

    return ask, lambda number, asked, value: study.tell(trials.pop(number), value) and None


def nni_evolution(seed: int) -> tuple[Ask, Tell]:
    """NNI's evolution tuner, which draws from the global generators."""
    from nni.algorithms.hpo.evolution_tuner import EvolutionTuner

    random.seed(seed)
    tuner: Any = EvolutionTuner(optimize_mode="maximize")
    tuner.update_search_space({f"edges/{i}": {"_type": "choice", "_value": list(OPERATIONS)} for i in range(6)})
    # Its first generation is already there, drawn without a seed.
    tuner.random_state, tuner.population = np.random.RandomState(seed), []  # noqa: NPY002
    for _ in range(tuner.population_size):
        tuner._random_generate_individual()
    return tuner.generate_parameters, tuner.receive_trial_result


def search(file: Path, method: str, metric: str, seed: int, queries: int) -> Run:
    """One search of a method, up to the best of the table; what would follow changes no regret.

    Where a method ends before that, the rest of its queries find nothing better.
    """
    values = table(file, metric)
    best = max(values.values())
    start = time.perf_counter()
    accuracies = ours(OURS[method], values, seed, queries) if method in OURS else theirs(method, values, seed)
    found: list[float] = []
    for _, accuracy in zip(range(queries), accuracies, strict=False):
        found.append(max(accuracy, found[-1] if found else -math.inf))
        if accuracy == best:
            break
    each = 1000 * (time.perf_counter() - start) / len(found)
    return Run((*found, *[found[-1]] * (queries - len(found))), each)


def regrets(best: float, runs: list[Run]) -> dict[int, list[float]]:
    """The regret of each run after so many queries."""
    return {mark: [best - run.found[mark - 1] for run in runs] for mark in MARKS if mark <= len(runs[0].found)}


def behind(mine: list[float], peer: list[float]) -> bool:
    """Whether the first regrets are greater by more than the standard error of the difference, seed by seed."""
    differences = [a - b for a, b in zip(mine, peer, strict=True)]
    error = statistics.stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else 0.0
    return statistics.fmean(differences) > error


def judged(found: Mapping[str, Mapping[int, list[float]]]) -> list[str]:
    """What of the claim does not hold on one metric, in words."""
    wrong = []
    for mark, mine in found.get("predictor", {}).items():
        if statistics.fmean(mine) > BARS.get(mark, math.inf):
            wrong.append(f"{statistics.fmean(mine):.3f} after {mark} queries is above {BARS[mark]}")
        wrong += [
            f"behind {peer} after {mark} queries" for peer in PEERS if peer in found and behind(mine, found[peer][mark])
        ]
    return wrong


def shown(metric: str, method: str, found: Mapping[int, list[float]], runs: list[Run]) -> dict[str, Any]:
    """Prints the mean regrets of a method, and returns them as they are kept."""
    means = {mark: statistics.fmean(values) for mark, values in found.items()}
    each = statistics.fmean(run.each for run in runs)
    text = "  ".join(f"{mark}: {mean:6.3f}" for mark, mean in means.items())
    print(f"{metric:<13} {method:<14} {text}   {each:5.1f} ms a query", flush=True)
    return {"regret": {str(mark): round(mean, 4) for mark, mean in means.items()}, "ms_a_query": round(each, 2)}


def main() -> int:
    """Searches, prints regrets, and keeps them."""
    parser = argparse.ArgumentParser(description="Regret on the NAS-Bench-201 table.")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--methods", nargs="+", choices=[*OURS, *PEERS], default=[*OURS, *PEERS])
    parser.add_argument("--table", type=Path, default=TABLE)
    options = parser.parse_args()
    if not options.table.exists():
        print(f"skipped: no {options.table}; name a table with --table FILE")
        return 0
    figures: dict[str, Any] = {}
    wrong: list[str] = []
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        for metric in METRICS:
            best = max(table(options.table, metric).values())
            found: dict[str, dict[int, list[float]]] = {}
            for method in options.methods:
                every = functools.partial(search, options.table, method, metric, queries=options.queries)
                runs = list(pool.map(every, range(options.seeds)))
                found[method] = regrets(best, runs)
                figures.setdefault(metric, {})[method] = shown(metric, method, found[method], runs)
            wrong += [f"{metric}: {words}" for words in judged(found)]
    print("\n".join(wrong) or "the claim holds")
    settings = {
        "seeds": options.seeds,
        "queries": options.queries,
        "bars": {str(mark): bar for mark, bar in BARS.items()},
    }
    keep("table_regret", {**settings, "wrong": wrong, "regrets": figures})
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
