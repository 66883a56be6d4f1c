"""Claim: PPO and REINFORCE find better cells than random search in 500 queries of the table of NAS-Bench-201.

Each architecture's validation accuracy after 12 epochs, on CIFAR-10 and on CIFAR-100, stands in
../shared/data/nasbench201-12epochs.parquet; skipped where that is absent. The space: six edges, five operations each.
A query is an architecture that was not asked for before; a repeated one is answered from the cache and counts nothing.
The figures are the regret, the best accuracy of the table less the best found, in points, and the mean accuracy of the
last 100 queries, means over the seeds.

The papers' settings are for 12,800 children and more: 500 queries are 25 updates of PPO and 62 of REINFORCE, at rates
of 0.00035 and 0.0006. The claim is of settings for short searches (`SHORT`), the same on both tables; those of the
papers are printed beside them.

Bound: PPO's and REINFORCE's mean regret is below that of random search, on both tables.

    python -m benchmarks.policies_on_table [--seeds 20] [--queries 500] [--methods ppo-short random ...] [--columns ...]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.record import keep
from controllers.base import ControllerConfig, make_controller
from controllers.objective import Objective
from controllers.random_search import RandomConfig
from controllers.rl.ppo import PpoConfig
from controllers.rl.reinforce import ReinforceConfig
from controllers.rl.uniform import UniformConfig
from controllers.trial import Outcome, Status
from search_spaces.domains import Categorical
from search_spaces.space import Space

DATA = Path(__file__).parents[2] / "shared" / "data" / "nasbench201-12epochs.parquet"
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ("1-0", "2-0", "2-1", "3-0", "3-1", "3-2")
COLUMNS = ("cifar10_val", "cifar100_val")
LAST = 100
METHODS: dict[str, ControllerConfig] = {
    "ppo-short": PpoConfig(learning_rate=2e-3, batch=10, entropy=0.03),
    "reinforce-short": ReinforceConfig(learning_rate=2e-3, entropy=0.01),
    "random": RandomConfig(),
    "uniform": UniformConfig(),
    "ppo": PpoConfig(),
    "reinforce": ReinforceConfig(),
}
SHORT = ("ppo-short", "reinforce-short")


def space() -> Space:
    """The cells of NAS-Bench-201: an operation an edge, target and source in the order of its strings."""
    return Space({edge: Categorical(OPERATIONS) for edge in EDGES})


def read(file: Path, columns: tuple[str, ...]) -> dict[str, dict[tuple[str, ...], float]]:
    """Column -> operations of the six edges -> accuracy."""
    import pyarrow.parquet as pq

    table = pq.read_table(file, columns=["architecture", *columns])
    cells = [
        tuple(edge.split("~")[0] for edge in text.replace("+", "").split("|") if edge)
        for text in table["architecture"].to_pylist()
    ]
    return {column: dict(zip(cells, table[column].to_pylist(), strict=True)) for column in columns}


def search(config: ControllerConfig, seed: int, queries: int, table: Mapping[tuple[str, ...], float]) -> list[float]:
    """The accuracies that a search finds, in query order."""
    controller = make_controller(config, space(), [Objective(metric="accuracy")], seed=seed, budget=queries)
    found: list[float] = []
    while len(found) < queries and controller.finished is None:
        (trial,) = controller.ask(1)
        if trial.same_as is not None:
            known = controller.records[trial.same_as].outcome
            controller.tell(trial.trial_id, Outcome(known.status, known.metrics, 1, source="cache"))
            continue
        found.append(table[tuple(trial.candidate[edge] for edge in EDGES)])
        controller.tell(trial.trial_id, Outcome(Status.COMPLETED, {"accuracy": found[-1] / 100}, 1))
    return found


def compare(tables: Mapping[str, Mapping[tuple[str, ...], float]], options: argparse.Namespace) -> dict[str, Any]:
    """Column -> method -> figures."""
    figures: dict[str, Any] = {}
    for column, table in tables.items():
        highest = max(table.values())
        figures[column] = {}
        for method in options.methods:
            start = time.perf_counter()
            runs = [search(METHODS[method], seed, options.queries, table) for seed in range(options.seeds)]
            regrets = [highest - max(run) for run in runs]
            figures[column][method] = {
                "regret": statistics.fmean(regrets),
                "spread": statistics.stdev(regrets),
                "last": statistics.fmean(statistics.fmean(run[-LAST:]) for run in runs),
                "queries": min(len(run) for run in runs),
                "regrets": regrets,
            }
            row, seconds = figures[column][method], time.perf_counter() - start
            print(
                f"{column:<13} {method:<16} regret {row['regret']:.3f} +- {row['spread']:.3f}   last {LAST}: "
                f"{row['last']:.2f}   {seconds / options.seeds:.1f} s a search",
                flush=True,
            )
    return figures


def main() -> int:
    """Search, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--columns", nargs="+", choices=COLUMNS, default=COLUMNS)
    options = parser.parse_args()
    if not DATA.is_file():
        print("skipped: no nasbench201-12epochs.parquet in ../shared/data")
        return 0
    figures = compare(read(DATA, tuple(options.columns)), options)
    if not {"random", *SHORT} <= set(options.methods):
        return 0
    holds = all(rows[method]["regret"] < rows["random"]["regret"] for rows in figures.values() for method in SHORT)
    print(f"the claim {'holds' if holds else 'FAILS'}")
    configs = {method: METHODS[method].to_data() for method in options.methods}
    keep("policies_on_table", {"holds": holds, **vars(options), "configs": configs, "found": figures})
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
