"""Claim: what a search of an example file finds is no worse than what would be written by hand.

For each example: the search as its file says, then its winner and the default, trained anew with three other seeds
for as many epochs. For a search over recipes the default is the task's own recipe on the same network; for one over
networks it is a residual network with a DeepLabv3+ decoder, or with a feature pyramid and a one-stage head, under the
same recipe.
Printed are the best validation figure of the search, and mean and spread (standard deviation) of both over the seeds.

Bound: the winner's mean is not worse than the default's by more than the two spreads together.

    python -m benchmarks.winners EXAMPLE ... [--real] [--trials N] [--seeds 3]

`--real` takes the data of ../shared/data (CIFAR-10, CamVid, BCCD, tinyshakespeare) and is skipped where that is absent.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import keep

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
REAL = {
    "digits-recipe": "{{kind: cifar10, path: {data}, limit: 4000}}",
    "scenes-segmentation": "{{kind: parquet, path: {data}/camvid-train.parquet, size: [96, 128], test: 0.1}}",
    "scenes-segmenter": "{{kind: parquet, path: {data}/camvid-train.parquet, size: [96, 128], test: 0.1}}",
    "scenes-detection-recipe": "{{kind: parquet, path: {data}/bccd-train.parquet, size: [96, 128], test: 0.1}}",
    "scenes-detector": "{{kind: parquet, path: {data}/bccd-train.parquet, size: [96, 128], test: 0.1}}",
    "text-language": "{{kind: text, path: {data}/tinyshakespeare.txt, limit: 120000}}",
}


def default_of(example: str, winner: Any) -> Any:
    """Returns what would be written by hand in place of a winner."""
    from search_spaces.architectures.detector import Detector
    from search_spaces.architectures.resnet import Resnet
    from search_spaces.architectures.segmenter import Segmenter
    from search_spaces.blocks.context import Aspp
    from search_spaces.blocks.decoders import DeepLabV3Plus
    from search_spaces.blocks.necks import Fpn

    if example == "scenes-segmenter":
        backbone = Resnet.from_data({"depths": [1, 1, 2], "widths": [16, 32, 64], "stem": "strided"})
        context, decoder = Aspp(rates=(1, 2, 3), width=32, dropout=0.1), DeepLabV3Plus(low_width=24, width=32)
        made: Any = Segmenter(backbone=backbone, context=context, decoder=decoder, aux=(-2,))
        return winner.model_copy(update={"architecture": made})
    if example == "scenes-detector":
        backbone = Resnet.from_data({"depths": [1, 1, 2], "widths": [24, 48, 96], "stem": "strided"})
        head = {"kind": "one_stage", "depth": 2}
        made = Detector.from_data({"backbone": backbone, "neck": Fpn(width=48), "head": head})
        return winner.model_copy(update={"architecture": made})
    return winner.model_copy(update={"recipe": type(winner.recipe)()})


def trained(example: str, overrides: list[str], spec: Any, seed: int, epochs: int, metric: str) -> float:
    """Returns the last validation figure of a spec, trained in this process."""
    from cluster.config import load
    from trainers.trial import TrialContext

    task = load(ROOT / "examples" / f"{example}.yaml", overrides).task
    with tempfile.TemporaryDirectory() as folder:
        trial = TrialContext("t000000", seed=seed, fidelity=epochs, folder=f"{folder}/t000000")
        *_, last = task.run(spec, trial, task.open())
    return float(last.metrics[metric])


def measure(example: str, real: bool, trials: int | None, seeds: int) -> dict[str, Any]:
    """Runs the search, then both sides over the seeds."""
    from cluster.search import Search

    overrides = [f"task.data={REAL[example].format(data=DATA)}"] if real else []
    with tempfile.TemporaryDirectory() as folder:
        more = [f"storage={folder}", "tracking=null"] + ([f"budget.trials={trials}"] if trials else [])
        search = Search.from_yaml(ROOT / "examples" / f"{example}.yaml", [*overrides, *more])
        began = time.perf_counter()
        best = search.run(progress=False).best
        seconds = time.perf_counter() - began
        assert best is not None
        objective, epochs = search.config.objectives[0], int(search.config.budget.epochs)
        sides = {"winner": best.spec, "default": default_of(example, best.spec)}
        figures: dict[str, list[float]] = {}
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            jobs = {
                name: [
                    pool.submit(trained, example, overrides, spec, seed, epochs, objective.metric)
                    for seed in range(1, seeds + 1)
                ]
                for name, spec in sides.items()
            }
            figures = {name: [job.result() for job in waiting] for name, waiting in jobs.items()}
    means = {name: statistics.fmean(values) for name, values in figures.items()}
    spreads = {name: statistics.stdev(values) if len(values) > 1 else 0.0 for name, values in figures.items()}
    sign = 1 if objective.mode == "max" else -1
    holds = sign * (means["winner"] - means["default"]) >= -sum(spreads.values())
    found = {
        "metric": objective.metric,
        "search_seconds": round(seconds, 1),
        "best": best.metrics[objective.metric],
        "winner": figures["winner"],
        "default": figures["default"],
        "means": means,
        "spreads": spreads,
        "holds": holds,
        "candidate": dict(best.candidate),
    }
    print(
        f"{example}{' (real)' if real else ''}: {objective.metric}, best of the search {found['best']:.4f} in "
        f"{seconds:.0f} s; winner {means['winner']:.4f} ± {spreads['winner']:.4f}, "
        f"default {means['default']:.4f} ± {spreads['default']:.4f}, {seeds} seeds",
        flush=True,
    )
    return found


def main() -> int:
    """Measures the examples that are named, prints, and keeps the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("examples", nargs="*", default=sorted(REAL))
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if options.real and not DATA.is_dir():
        print(f"skipped: {DATA} is not there")
        return 0
    holds = True
    for example in options.examples:
        found = measure(example, options.real, options.trials, options.seeds)
        keep(f"winners-{example}{'-real' if options.real else ''}", found)
        holds = holds and found["holds"]
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
