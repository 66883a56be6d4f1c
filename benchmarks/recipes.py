"""Claim: the recipe that a search finds trains its network better than the default recipe does in as many epochs.

For each example file that searches a recipe, on its embedded data or on real data from ../shared/data (`--real`), the
winner of a finished run trains again from the beginning, beside the same network under the default recipe of the task,
over the same epochs and with the same seeds. Both are judged as the search judges, by the first objective on the
validation part, and once on the test part. A run that is not there is searched first with `--search`, and skipped
without, as is real data that is not there.

Bound: in the objective the mean over the seeds is better for the winner by more than the two spreads (standard
deviations) together divided by the root of the number of seeds.

    python -m benchmarks.recipes [EXAMPLE ...] [--real] [--search] [--run NAME] [--seeds 3] [--epochs N]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.record import keep
from cluster.runs import Run
from cluster.search import Search
from search_spaces.errors import SpecError
from trainers.trial import Common, TrialContext

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"


@dataclass(frozen=True)
class Real:
    """The real data of an example.

    Args:
        name: Of the run.
        file: What must be there.
        data: What `task.data` becomes; DIR stands for the folder.
    """

    name: str
    file: str
    data: str


EXAMPLES = {
    "digits-recipe": Real("cifar10-recipe", "cifar10-train.parquet", "{kind: cifar10, path: DIR, limit: 4000}"),
    "scenes-segmentation": Real(
        "camvid",
        "camvid-train.parquet",
        "{kind: parquet, path: DIR/camvid-train.parquet, size: [96, 128], test: 0.1}",
    ),
    "scenes-detection-recipe": Real(
        "bccd", "bccd-train.parquet", "{kind: parquet, path: DIR/bccd-train.parquet, size: [96, 128], test: 0.1}"
    ),
    "text-language": Real(
        "shakespeare", "tinyshakespeare.txt", "{kind: text, path: DIR/tinyshakespeare.txt, limit: 120000}"
    ),
}


class SkippedError(Exception):
    """Why an example is not measured."""


def finished(example: str, options: argparse.Namespace) -> Run:
    """Returns the run of an example, searched now if need be.

    Raises:
        SkippedError: It is not there, has not ended, or has no winner.
    """
    real = EXAMPLES[example]
    name, sets = options.run or (real.name if options.real else example), list(options.set)
    if options.real:
        if not (DATA / real.file).is_file():
            raise SkippedError(f"no {real.file} in ../shared/data")
        sets = [f"task.data={real.data.replace('DIR', str(DATA))}", *sets]
    try:
        run = Run.find(name, options.storage)
    except SpecError as error:
        if not options.search:
            raise SkippedError(f"{error}; --search runs it") from None
        file = ROOT / "examples" / f"{example}.yaml"
        Search.from_yaml(file, [*sets, f"storage={options.storage}", "tracking=null"], name=name).run()
        run = Run.find(name, options.storage)
    standing = run.standing()
    if standing.reason in (None, "interrupted") or standing.best is None:
        raise SkippedError(f"the run {name} has not ended, or has no winner")
    if options.epochs is not None:
        budget = run.config.budget.model_copy(update={"epochs": options.epochs})
        run.config = run.config.model_copy(update={"budget": budget})
    return run


def trained(run: Run, spec: Any, data: Any, seed: int, options: argparse.Namespace) -> tuple[float, dict[str, float]]:
    """Trains from the beginning; returns the value of the objective and the figures of the test part."""
    task, objective = run.config.task, run.config.objectives[0]
    with tempfile.TemporaryDirectory() as folder:
        trial = TrialContext(
            f"t{seed:06d}",
            seed,
            run.config.fidelity,
            folder=f"{folder}/t{seed:06d}",
            threads=options.threads,
            common=Common(f"{folder}/common", run.config.seed),
        )
        reports = list(task.run(spec, trial, data))
        value = objective.told([report.metrics[objective.metric] for report in reports])
        return value, task.final_test(spec, f"{folder}/{reports[-1].checkpoint}", data)


def compare(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    """Winner and default beside one another, over all seeds."""
    best = run.standing().best
    assert best is not None
    winner = run.config.make_space().realize(best.candidate)
    sides = {"winner": winner, "default": winner.model_copy(update={"recipe": type(winner.recipe)()})}
    data, objective = run.config.task.open(), run.config.objectives[0]
    figures: dict[str, Any] = {}
    for side, spec in sides.items():
        values, tests = zip(*(trained(run, spec, data, seed, options) for seed in range(options.seeds)), strict=True)
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        figures[side] = {
            "mean": statistics.fmean(values),
            "spread": spread,
            "values": values,
            # A class that no test image shows has no figure.
            "test": {
                name: statistics.fmean(test[name] for test in tests)
                for name in tests[0]
                if all(name in test for test in tests)
            },
        }
        tested = ", ".join(f"{name} {value:.4f}" for name, value in figures[side]["test"].items())
        print(
            f"{run.name}: {side:<8} {objective.metric} {figures[side]['mean']:.4f} +- {spread:.4f}; {tested}",
            flush=True,
        )
    ahead = objective.score(figures["winner"]["mean"]) - objective.score(figures["default"]["mean"])
    bound = (figures["winner"]["spread"] + figures["default"]["spread"]) / options.seeds**0.5
    return {
        "trial": best.trial_id,
        "objective": objective.metric,
        "mode": objective.mode,
        "epochs": run.config.budget.epochs,
        "seeds": options.seeds,
        "ahead": ahead,
        "bound": bound,
        "holds": ahead > bound,
        **figures,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("examples", nargs="*", metavar="EXAMPLE", help=", ".join(EXAMPLES))
    parser.add_argument("--real", action="store_true", help="on ../shared/data")
    parser.add_argument("--search", action="store_true", help="search what was not searched yet")
    parser.add_argument("--set", action="append", default=[], help="path=value, of that search")
    parser.add_argument("--run", help="name of the run; default: that of the example or of the real data")
    parser.add_argument("--storage", default=str(ROOT / "runs"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, help="default: those of the search")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args(arguments)
    holds = True
    for example in options.examples or EXAMPLES:
        if example not in EXAMPLES:
            parser.error(f"no such example; got {example!r}; allowed {', '.join(EXAMPLES)}")
        try:
            run = finished(example, options)
        except SkippedError as error:
            print(f"{example}: skipped: {error}")
            continue
        found = compare(run, options)
        holds = holds and found["holds"]
        keep(f"recipes-{run.name}", {"example": example, "real": options.real, **found})
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
