"""Claim: what a search of an example file finds is no worse than what would be written by hand.

For each example: the search as its file says, then its winner and the default, trained anew with three other seeds
for as many epochs. For a search over recipes the default is the task's own recipe on the same network; for one over
networks it is a residual network with a DeepLabv3+ decoder, or with a feature pyramid and a one-stage head, under the
same recipe. Both are judged as the search judges, by the first objective on the validation part, and once a seed on
the test part.
Printed are the best validation figure of the search, mean and spread (standard deviation) of both over the seeds, and
the means of their figures on the test part.

Bound: the winner's mean is not worse than the default's by more than the two spreads together.

    python -m benchmarks.winners EXAMPLE ... [--real] [--trials N] [--seeds 3] [--set path=value ...]

`--real` takes the data of ../shared/data (CIFAR-10, CamVid, BCCD, tinyshakespeare); what is absent there is skipped.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.record import keep

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"


class Real(NamedTuple):
    """The real data of an example.

    Args:
        file: What must be there.
        data: What `task.data` becomes; DIR stands for the folder.
    """

    file: str
    data: str


CAMVID = Real("camvid-train.parquet", "{kind: parquet, path: DIR/camvid-train.parquet, size: [96, 128], test: 0.1}")
BCCD = Real("bccd-train.parquet", "{kind: parquet, path: DIR/bccd-train.parquet, size: [96, 128], test: 0.1}")
REAL = {
    "digits-recipe": Real("cifar10-train.parquet", "{kind: cifar10, path: DIR, limit: 4000}"),
    "scenes-segmentation": CAMVID,
    "scenes-segmenter": CAMVID,
    "scenes-detection-recipe": BCCD,
    "scenes-detector": BCCD,
    "text-language": Real("tinyshakespeare.txt", "{kind: text, path: DIR/tinyshakespeare.txt, limit: 120000}"),
}
Figures = dict[str, float]


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


def trained(example: str, overrides: Sequence[str], spec: Any, seed: int) -> tuple[float, Figures]:
    """Trains a spec in this process; returns the value of the objective and the figures on the test part."""
    from cluster.config import load
    from trainers.trial import Common, TrialContext

    config = load(ROOT / "examples" / f"{example}.yaml", list(overrides))
    task, objective, data = config.task, config.objectives[0], config.task.open()
    with tempfile.TemporaryDirectory() as folder:
        # What the trials of a search have in common, such as a teacher, each seed has for itself.
        common = Common(f"{folder}/common", seed)
        trial = TrialContext("t000000", seed, config.fidelity, folder=f"{folder}/t000000", common=common)
        reports = list(task.run(spec, trial, data))
        value = objective.told([report.metrics[objective.metric] for report in reports])
        return value, task.final_test(spec, f"{folder}/{reports[-1].checkpoint}", data)


def compared(
    example: str, overrides: Sequence[str], sides: Mapping[str, Any], seeds: int
) -> dict[str, list[tuple[float, Figures]]]:
    """Trains both sides with every seed, two at a time."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        jobs = {
            name: [pool.submit(trained, example, overrides, spec, seed) for seed in range(1, seeds + 1)]
            for name, spec in sides.items()
        }
        return {name: [job.result() for job in waiting] for name, waiting in jobs.items()}


def tested(runs: Sequence[tuple[float, Figures]]) -> Figures:
    """Returns the means over the seeds of figures on the test part; a class that no test image shows has none."""
    tests = [figures for _, figures in runs]
    return {
        name: statistics.fmean(figures[name] for figures in tests)
        for name in tests[0]
        if all(name in figures for figures in tests)
    }


def measure(example: str, real: bool, trials: int | None, seeds: int, sets: Sequence[str] = ()) -> dict[str, Any]:
    """Runs the search, then both sides over the seeds."""
    from cluster.search import Search

    overrides = [f"task.data={REAL[example].data.replace('DIR', str(DATA))}"] if real else []
    overrides += sets
    with tempfile.TemporaryDirectory() as folder:
        more = [f"storage={folder}", "tracking=null"] + ([f"budget.trials={trials}"] if trials else [])
        search = Search.from_yaml(ROOT / "examples" / f"{example}.yaml", [*overrides, *more])
        began = time.perf_counter()
        best = search.run(progress=False).best
        seconds = time.perf_counter() - began
        assert best is not None
        objective = search.config.objectives[0]
        sides = {"winner": best.spec, "default": default_of(example, best.spec)}
        runs = compared(example, overrides, sides, seeds)
    figures = {name: [value for value, _ in found] for name, found in runs.items()}
    means = {name: statistics.fmean(values) for name, values in figures.items()}
    spreads = {name: statistics.stdev(values) if len(values) > 1 else 0.0 for name, values in figures.items()}
    sign = 1 if objective.mode == "max" else -1
    holds = sign * (means["winner"] - means["default"]) >= -sum(spreads.values())
    found: dict[str, Any] = {
        "metric": objective.metric,
        "search_seconds": round(seconds, 1),
        "best": best.metrics[objective.metric],
        "winner": figures["winner"],
        "default": figures["default"],
        "means": means,
        "spreads": spreads,
        "tests": {name: tested(side) for name, side in runs.items()},
        "holds": holds,
        "candidate": dict(best.candidate),
    }
    print(
        f"{example}{' (real)' if real else ''}: {objective.metric}, best of the search {found['best']:.4f} in "
        f"{seconds:.0f} s; winner {means['winner']:.4f} ± {spreads['winner']:.4f}, "
        f"default {means['default']:.4f} ± {spreads['default']:.4f}, {seeds} seeds",
        flush=True,
    )
    for name, side in found["tests"].items():
        print(f"  {name:<8}" + ", ".join(f"{metric} {value:.4f}" for metric, value in side.items()), flush=True)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measures the examples that are named, prints, and keeps the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("examples", nargs="*", metavar="EXAMPLE", help=", ".join(REAL))
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], help="path=value, of the search and of both trainings")
    options = parser.parse_args(arguments)
    holds = True
    for example in options.examples or sorted(REAL):
        if example not in REAL:
            parser.error(f"no such example; got {example!r}; allowed {', '.join(REAL)}")
        if options.real and not (DATA / REAL[example].file).is_file():
            print(f"{example}: skipped: no {REAL[example].file} in ../shared/data")
            continue
        found = measure(example, options.real, options.trials, options.seeds, options.set)
        keep(f"winners-{example}{'-real' if options.real else ''}", found)
        holds = holds and found["holds"]
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
