"""Claim: journal, resume and MLflow cost a search less than Tune's own way of doing the same.

400 trials that do nothing, each with 30 parameters and one report of 21 metrics, two at a time, on one Ray; four sides
take turns in one run, and each figure is the median of three rounds. The rate is trials over the time from the start of
the run to its end, the start of the actors included; where MLflow takes part, to its last record in the store.

- plain: a class trainable of Ray Tune with `reuse_actors`, Tune's loggers off.
- ours: the same as a search with journal and tables, without MLflow.
- plain with MLflow: plain with Ray's MLflowLoggerCallback on sqlite.
- ours with MLflow: ours with the sink on sqlite, warm before the first trial.
- gap: from the end of a trial's step to the beginning of its next one, plain and ours, the median over a trial's steps.

Bounds: ours reaches at least 0.8 of the rate of plain; with MLflow at least 3 times the rate of plain with MLflow, and
at least 20 trials a second; the gap is at most 1 ms above plain's.

    python -m benchmarks.overhead [--set trials=400 rounds=3 steps=300]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.record import keep

PARAMETERS = [f"p{i:02d}" for i in range(30)]
METRICS = {f"metric/{i:02d}": 0.1 * i for i in range(20)}
RATE, MLFLOW_RATE, MLFLOW_TIMES, GAP_MS = 0.8, 20.0, 3.0, 1.0
WARM_UP = 20


def no_op(spec: dict[str, Any], trial: Any) -> Iterator[dict[str, float]]:
    """Reports 21 metrics a step; `gap` is the time since it reported the last time."""
    left = None
    for _ in range(trial.fidelity):
        gap = 0.0 if left is None else time.perf_counter() - left
        figures = {**METRICS, "gap": gap}
        left = time.perf_counter()
        yield figures


def _config(folder: str, name: str, trials: int, steps: int, tracking: dict[str, str] | None) -> Any:
    from cluster.config import SearchConfig

    return SearchConfig.from_data(
        {
            "name": name,
            "task": {"kind": "function", "target": "benchmarks.overhead:no_op"},
            "space": {path: {"float": [0.0, 1.0]} for path in PARAMETERS},
            "controller": {"kind": "random"},
            "budget": {"trials": trials, "epochs": steps},
            "objectives": [{"metric": "gap", "mode": "min"}],
            "resources": {"concurrency": min(2, trials)},
            "tracking": tracking,
            "storage": folder,
        }
    )


def ours(trials: int, steps: int, mlflow: bool) -> tuple[float, list[float]]:
    """Trials a second, and the gaps in seconds."""
    from cluster.journal import read
    from cluster.runs import Run
    from cluster.runtime import drive

    with tempfile.TemporaryDirectory() as folder:
        tracking = {"uri": f"sqlite:///{folder}/mlflow.db", "experiment": "overhead"} if mlflow else None
        run = Run.claim(_config(folder, "run", trials, steps, tracking), exact=True)
        began = time.time()
        end = drive(run.config, run.storage)
        ended = time.time()
        if end.code != 0 or not end.sent:
            raise RuntimeError(f"the search did not end as it should: {end}")
        records = list(read(run.storage))
    if mlflow:
        # The sink is warm by then; before, mlflow was imported.
        began = next(record.fields["time"] for record in records if record.kind == "asked")
    gaps = [record.fields["metrics"]["gap"] for record in records if record.kind == "reported"]
    return trials / (ended - began), gaps[WARM_UP:]


def plain(trials: int, steps: int, mlflow: bool) -> tuple[float, list[float]]:
    """Trials a second, and the gaps in seconds."""
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    class NoOp(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self._left: float | None = None
            self._gaps: list[float] = []

        def step(self) -> dict[str, Any]:
            gap = 0.0 if self._left is None else time.perf_counter() - self._left
            self._gaps.append(gap)
            result = {**METRICS, "gap": gap, "done": len(self._gaps) == steps}
            if result["done"] and steps > 1:
                result["gaps"] = tuple(self._gaps)
            self._left = time.perf_counter()
            return result

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._left, self._gaps = None, []
            return True

    with tempfile.TemporaryDirectory() as folder:
        callbacks = (
            [MLflowLoggerCallback(f"sqlite:///{folder}/mlflow.db", experiment_name="overhead")] if mlflow else []
        )
        tuner = tune.Tuner(
            NoOp,
            param_space={path: tune.uniform(0.0, 1.0) for path in PARAMETERS},
            tune_config=tune.TuneConfig(
                num_samples=trials, max_concurrent_trials=min(2, trials), reuse_actors=True, metric="gap", mode="min"
            ),
            run_config=tune.RunConfig(
                storage_path=folder,
                verbose=0,
                callbacks=callbacks,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        began = time.time()
        results = tuner.fit()
        ended = time.time()
        gaps = [gap for result in results for gap in (result.metrics or {}).get("gaps", ())]
    return trials / (ended - began), gaps[WARM_UP:]


def measure(trials: int, rounds: int, steps: int) -> dict[str, float]:
    """Run all sides in turn, and return the medians."""
    sides = {"plain": (plain, False), "ours": (ours, False), "plain_mlflow": (plain, True), "ours_mlflow": (ours, True)}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    gaps: dict[str, list[float]] = {"plain": [], "ours": []}
    for number in range(rounds):
        for name, (side, mlflow) in sides.items():
            rates[name].append(side(trials, 1, mlflow)[0])
            print(f"round {number + 1}: {name:<13} {rates[name][-1]:7.1f} trials/s", flush=True)
        for name, side in (("plain", plain), ("ours", ours)):
            gaps[name].append(statistics.median(side(1, steps, False)[1]) * 1e3)
            print(f"round {number + 1}: gap {name:<9} {gaps[name][-1]:7.2f} ms", flush=True)
    figures = {f"{name}_per_s": statistics.median(values) for name, values in rates.items()}
    figures |= {f"gap_{name}_ms": statistics.median(values) for name, values in gaps.items()}
    figures["rate"] = figures["ours_per_s"] / figures["plain_per_s"]
    figures["mlflow_times"] = figures["ours_mlflow_per_s"] / figures["plain_mlflow_per_s"]
    figures["gap_above_ms"] = figures["gap_ours_ms"] - figures["gap_plain_ms"]
    return {name: round(value, 3) for name, value in figures.items()}


def main() -> int:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=N", help="trials, rounds, steps")
    counts = {"trials": 400, "rounds": 3, "steps": 300}
    for item in parser.parse_args().set:
        name, _, value = item.partition("=")
        if name not in counts:
            parser.error(f"--set takes trials, rounds and steps; got {name!r}")
        counts[name] = int(value)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from cluster.ray_runtime import RayRuntime

    with RayRuntime(cpus=2):
        figures = measure(**counts)
    holds = (
        figures["rate"] >= RATE
        and figures["mlflow_times"] >= MLFLOW_TIMES
        and figures["ours_mlflow_per_s"] >= MLFLOW_RATE
        and figures["gap_above_ms"] <= GAP_MS
    )
    print(json.dumps({**figures, "holds": holds}, indent=2))
    keep("overhead", {**counts, **figures, "holds": holds})
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
