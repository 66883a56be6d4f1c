"""Claim: of all ways to take a training step that stay exact, the default of a recipe is the fastest for short trials.

One small ResNet for images of 32x32 pixels learns in batches of 32 through the project's own loop, on one thread of the
processor and, where there is one, on an accelerator: in float32 and under autocast, with and without channels last,
with and without compiled regions. Each way trains twice: some single steps, which tell how exact it is and how long
compiling takes where nothing is compiled yet, then reports of five steps, which tell how fast it is.

- steps_per_second: of the median report, but for the first; beside it those of a second of processor time, which a busy
  machine disturbs less, and which on an accelerator says what the processor has to do.
- first_seconds: what the first step took longer than later ones.
- trial_seconds: of a trial of 1,000 steps, the first seconds included.
- error: the largest relative difference of the loss of a step from that of float32 in the plain layout. Behind some ten
  steps differences of any size have grown to a percent, those of float32 summed in another order too: only the first
  five steps tell ways apart.

Exact enough is an error of at most 3e-5: of float32 the layout alone changes it by 1e-5.

Bound: on the processor no exact way makes such a trial more than 10% faster than the default does.

    python -m benchmarks.training_step [--batch 32] [--reports 4] [--threads 1]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from os import environ
from typing import Any

import numpy as np
import torch

from benchmarks.record import keep
from search_spaces.architectures.resnet import Resnet
from search_spaces.recipe import ClassificationRecipe
from trainers.data.base import ImageSet
from trainers.data.labelled import ClassificationData
from trainers.tasks.base import compiler
from trainers.tasks.classification import Classification, Classifier
from trainers.trial import TrialContext

NETWORK = Resnet(depths=(2, 2, 2), widths=(16, 32, 64), stem="cifar")
STEPS, TRIAL = 5, 1000
EXACT, SLACK = 3e-5, 1.1
Way = tuple[str, bool, bool]


class Spots(ClassificationData):
    """Not registered as a kind: images of noise with a bright square whose place tells one of nine classes."""

    val: float = 0.01
    test: float = 0.01

    def load(self) -> ImageSet:
        """Draws them."""
        rng = np.random.default_rng(0)
        images = rng.integers(0, 120, (2048, 3, 32, 32)).astype(np.uint8)
        labels = rng.integers(0, 9, len(images))
        for image, label in zip(images, labels, strict=True):
            y, x = 10 * (label // 3), 10 * (label % 3)
            image[:, y : y + 10, x : x + 10] += 100
        return self.image_set((images, labels), None, tuple("abcdefghi"), "spots")


def trained(
    data: ImageSet, way: Way, device: str, options: argparse.Namespace, steps: int, reports: int
) -> Iterator[tuple[float, float, float]]:
    """Trains in one way, and yields loss, seconds and seconds of processor time of each report of so many steps."""
    precision, channels_last, compile_ = way
    recipe = ClassificationRecipe.from_data(
        {
            "precision": precision,
            "channels_last": channels_last,
            "compile": compile_,
            "batch_size": options.batch,
            "optimizer": {"kind": "sgd", "lr": 0.003},
            "warmup": None,
        }
    )
    batches = int((data.parts == 0).sum()) // options.batch
    task = Classification(report_every=steps / batches)
    trial = TrialContext("t000000", seed=0, fidelity=reports, device=device, threads=options.threads)
    began = time.process_time()
    for report in task.run(Classifier(architecture=NETWORK, recipe=recipe), trial, data):
        yield report.metrics["train/loss"], report.metrics["time/train"], time.process_time() - began
        began = time.process_time()


def measure(data: ImageSet, way: Way, device: str, options: argparse.Namespace) -> dict[str, Any]:
    """Exactness and speed of one way; `losses` are those of single steps."""
    with tempfile.TemporaryDirectory() as folder:
        environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        losses, singles, _ = zip(*trained(data, way, device, options, 1, STEPS), strict=True)
        _, seconds, worked = zip(*trained(data, way, device, options, STEPS, options.reports), strict=True)
    first, later = max(0.0, singles[0] - statistics.median(singles[1:])), statistics.median(seconds[1:]) / STEPS
    return {
        "device": device,
        **dict(zip(("precision", "channels_last", "compile"), way, strict=True)),
        "steps_per_second": 1 / later,
        "steps_per_processor_second": STEPS / statistics.median(worked[1:]),
        "first_seconds": first,
        "trial_seconds": first + TRIAL * later,
        "losses": losses,
    }


def compare(data: ImageSet, device: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """All ways on one device, the plain one first."""
    precisions = ("float32", "bf16") if device == "cpu" else ("float32", "bf16", "fp16")
    compiles = (False, True) if compiler() else (False,)
    rows: list[dict[str, Any]] = []
    plain: Any = None
    for way in itertools.product(precisions, (False, True), compiles):
        row = measure(data, way, device, options)
        losses = np.array(row.pop("losses"))
        plain = losses if plain is None else plain
        row["error"] = float(np.abs(losses / plain - 1).max())
        rows.append(row)
        speed, worked = row["steps_per_second"], row["steps_per_processor_second"]
        print(
            f"{device:<5} {way[0]:<8} channels last {way[1]!s:<5} compiled {way[2]!s:<5} {speed:7.2f} steps/s "
            f"({worked:7.2f} by processor time), first {row['first_seconds']:5.1f} s, "
            f"trial {row['trial_seconds']:7.1f} s, error {row['error']:.1e}",
            flush=True,
        )
    return rows


def main() -> int:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--reports", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    data = Spots().load()
    rows = compare(data, "cpu", options)
    if torch.accelerator.is_available():
        rows += compare(data, str(torch.accelerator.current_accelerator()), options)
    if not compiler():
        print("no C++ compiler: nothing was compiled")
    default = ClassificationRecipe()
    mine = (default.precision, default.channels_last, default.compile)
    exact = [row for row in rows if row["device"] == "cpu" and row["error"] <= EXACT]
    own = [row for row in exact if (row["precision"], row["channels_last"], row["compile"]) == mine]
    fastest = min(exact, key=lambda row: float(row["trial_seconds"]))
    holds = bool(own) and own[0]["trial_seconds"] <= SLACK * fastest["trial_seconds"]
    print(f"the fastest exact way: {fastest['trial_seconds']:.1f} s a trial; the default: ", end="")
    print(f"{own[0]['trial_seconds']:.1f} s" if own else "not exact")
    keep("training_step", {"exact": EXACT, "trial_steps": TRIAL, "holds": holds, **vars(options), "ways": rows})
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
