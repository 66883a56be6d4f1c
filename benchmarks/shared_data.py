"""Claim: as far as the data goes, four trials on one node need at most 1.3 times the memory of one.

Ray actors run trials as a search does, and read one data set from the node's object store: images of 32x32 pixels with
labels, images with masks, and images with boxes and the pixels of objects. Counted is the proportional set size of the
driver, of Ray's node process and of the actors (`Pss` of /proc/PID/smaps_rollup), in which a page that several
processes share counts once in all: its greatest sum, looked at five times a second while all trials train and judge.
From it the same sum with a set of a few rows is taken off, which is what Python, Ray, torch, network and batches take;
what is left is the data, give or take some ten MiB. Each sum is of a Ray of its own, since a store does not give back
what it had. The driver's own copy of the data, of which a search has one, is given back before.

Bound: four trials at most 1.3 times one, for each kind of data; the median of the rounds.

    python -m benchmarks.shared_data [--megabytes 192] [--rounds 1] [--tasks classification segmentation detection]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import keep
from cluster.executors.base import Assignment, Shared, TrialRun
from cluster.ray_runtime import RayRuntime, prepare
from controllers.trial import Trial
from search_spaces.candidate import Candidate
from search_spaces.recipe import (
    BalanceClasses,
    ClassificationRecipe,
    CopyPaste,
    DetectionRecipe,
    EasyFirst,
    SegmentationRecipe,
)
from search_spaces.space import Space
from trainers.data.base import ImageSet
from trainers.data.pictures import DetectionSet, SegmentationSet
from trainers.data.splits import Part
from trainers.tasks.classification import Classification, Classifier
from trainers.tasks.detection import Detection, DetectionModel
from trainers.tasks.segmentation import Segmentation, SegmentationModel

BOUND, MANY, FEW, JUDGED, STEPS = 1.3, 4, 80, 16, 6
SIDE = 64
RNG = np.random.default_rng(0)


def pictures(rows: int, side: int, classes: int) -> dict[str, Any]:
    """What all sets have: noise, of which the last rows are judged and tested."""
    parts = np.full(rows, Part.TRAIN, dtype=np.uint8)
    parts[-2 * JUDGED :], parts[-JUDGED:] = Part.VAL, Part.TEST
    return {
        "images": RNG.integers(0, 256, (rows, 3, side, side), dtype=np.uint8),
        "parts": parts,
        "mean": np.full(3, 127, dtype=np.float32),
        "std": np.full(3, 74, dtype=np.float32),
        "classes": tuple("abcdefghij"[:classes]),
    }


def labelled(megabytes: float | None) -> ImageSet:
    """Images with a label each."""
    rows = FEW if megabytes is None else int(megabytes * 2**20) // (3 * 32 * 32)
    return ImageSet(labels=RNG.integers(0, 10, rows), **pictures(rows, 32, 10))


def masked(megabytes: float | None) -> SegmentationSet:
    """Images with a mask each."""
    rows = FEW if megabytes is None else int(megabytes * 2**20) // (4 * SIDE * SIDE)
    masks = RNG.integers(0, 6, (rows, SIDE, SIDE), dtype=np.uint8)
    return SegmentationSet(masks=masks, **pictures(rows, SIDE, 6))


def boxed(megabytes: float | None) -> DetectionSet:
    """Images with one object each."""
    rows = FEW if megabytes is None else int(megabytes * 2**20) // (4 * SIDE * SIDE)
    boxes = np.tile(np.array([8, 8, 20, 20], dtype=np.float32), (rows, 1, 1))
    instances = np.zeros((rows, SIDE, SIDE), dtype=np.uint8)
    instances[:, 8:20, 8:20] = 1
    nothing = np.zeros((rows, 1), dtype=np.bool_)
    objects = {"boxes": boxes, "labels": np.zeros((rows, 1), dtype=np.int64), "difficult": nothing, "crowd": nothing}
    return DetectionSet(**objects, instances=instances, **pictures(rows, SIDE, 5))  # type: ignore[arg-type]


SORTED: dict[str, Any] = {"balance": BalanceClasses(), "curriculum": EasyFirst()}
KINDS: dict[str, tuple[Any, Any, Callable[[float | None], Any]]] = {
    "classification": (Classification, Classifier(recipe=ClassificationRecipe(batch_size=32, **SORTED)), labelled),
    "segmentation": (Segmentation, SegmentationModel(recipe=SegmentationRecipe(batch_size=4, **SORTED)), masked),
    "detection": (
        Detection,
        DetectionModel(recipe=DetectionRecipe(batch_size=4, copy_paste=CopyPaste(), **SORTED)),
        boxed,
    ),
}


class Actor:
    """Runs one trial, as the actors of a search do."""

    def __init__(self, shared: Shared, number: int) -> None:
        trial = Trial(f"t{number:06d}", Candidate({}), seed=number, fidelity=2)
        self._run = TrialRun(Assignment(trial, 1), shared)

    def pid(self) -> int:
        """Which process it is."""
        return os.getpid()

    def step(self) -> str | None:
        """Trains and judges; returns why it failed, if it did."""
        word = self._run.step()
        return None if word.failure is None else word.failure.traceback


def memory(pids: list[int]) -> int:
    """The sum of the proportional set sizes of some processes, in KiB."""
    texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return sum(int(line.split()[1]) for text in texts for line in text.splitlines() if line.startswith("Pss:"))


def raylet() -> int:
    """The process of Ray that holds the object store."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                name, _, rest = (folder / "stat").read_text().partition(") ")
            except OSError:
                continue
            parents[int(folder.name)] = (int(rest.split()[1]), name.partition("(")[2])
    mine = {os.getpid()}
    while more := {pid for pid, (parent, _) in parents.items() if parent in mine} - mine:
        mine |= more
    named = {pid for pid in mine if parents.get(pid, (0, ""))[1] == "raylet"}
    # A worker that it is just starting has its name for a moment.
    (found,) = (pid for pid in named if parents[pid][0] not in named)
    return found


def peak(task: str, megabytes: float | None, trials: int) -> int:
    """The greatest memory while some trials train, in KiB."""
    os.environ["OMP_NUM_THREADS"] = "1"
    prepare()
    with RayRuntime(cpus=MANY):
        return watched(task, megabytes, trials)


def alone(*arguments: Any) -> int:
    """Calls `peak` in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(peak, *arguments).result()


def watched(task: str, megabytes: float | None, trials: int) -> int:
    """Trains on the Ray that runs, and watches."""
    import ray

    # By the name under which a worker finds it, whatever this process was begun as.
    from benchmarks.shared_data import Actor

    make, spec, draw = KINDS[task]
    data = draw(megabytes)
    batches = int((data.parts == Part.TRAIN).sum()) // spec.recipe.batch_size
    shared = ray.put(Shared(make(report_every=STEPS / batches), Space(spec), data))
    del data
    actors = [ray.remote(num_cpus=0)(Actor).remote(shared, number) for number in range(trials)]
    pids = [os.getpid(), raylet(), *ray.get([actor.pid.remote() for actor in actors])]
    waiting, highest = [actor.step.remote() for actor in actors], 0
    while waiting:
        done, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=0.2)
        for failure in ray.get(done):
            if failure is not None:
                raise RuntimeError(failure)
        highest = max(highest, memory(pids))
    return highest


def main() -> int:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--megabytes", type=float, default=192.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tasks", nargs="+", choices=list(KINDS), default=list(KINDS))
    options = parser.parse_args()
    if not Path("/proc/self/smaps_rollup").exists():
        print("skipped: this system does not tell proportional set sizes (/proc/self/smaps_rollup)")
        return 0
    found: dict[str, dict[str, float]] = {}
    for task in options.tasks:
        rounds = []
        for _ in range(options.rounds):
            one, many = (
                (alone(task, options.megabytes, trials) - alone(task, None, trials)) / 1024 for trials in (1, MANY)
            )
            rounds.append((one, many))
            print(f"{task:<15} one trial {one:7.1f} MiB, {MANY} trials {many:7.1f} MiB", flush=True)
        one, many = (statistics.median(values) for values in zip(*rounds, strict=True))
        found[task] = {"one_mib": round(one, 1), "four_mib": round(many, 1), "ratio": round(many / one, 2)}
        print(f"{task:<15} ratio {many / one:.2f}", flush=True)
    holds = all(figures["ratio"] <= BOUND for figures in found.values())
    keep("shared_data", {"bound": BOUND, "holds": holds, **vars(options), "data": found})
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
