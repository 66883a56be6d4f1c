"""Claim: every draw of the spaces of segmenters and detectors builds, trains and costs what is predicted, fast.

500 draws of each preset: each is built, run forwards and backwards at two image sizes, and its multiply-adds, predicted
from the spec alone on torch's meta device, are compared with what torch's own counter sees of the network. Printed are
how many draws failed in any of this, and the medians of the processor times of a draw, of building it, and of its
predicted cost, on one thread.

Bound: no draw fails, and the median of the predicted cost is under 50 ms.

    python -m benchmarks.random_draws [--draws 500] [segmenter] [detector]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.record import keep
from search_spaces.build import Architecture
from search_spaces.cost import cost
from search_spaces.space import Space
from search_spaces.template import presets

SIZES = ((64, 64), (96, 72))
OUTPUTS = 11
BOUND_MS = 50.0


def total(found: Any) -> torch.Tensor:
    """The sum of squares of all that a network returns for its loss."""
    if isinstance(found, torch.Tensor):
        return found.float().square().mean() if found.requires_grad else torch.zeros(())
    if not isinstance(found, dict | list | tuple):
        return torch.zeros(())
    parts = found.values() if isinstance(found, dict) else found
    return sum((total(part) for part in parts), start=torch.zeros(()))


def wrong(spec: Architecture, size: tuple[int, int]) -> str | None:
    """What does not hold for a spec at one size; None: everything does."""
    network = spec.build((3, *size), OUTPUTS).train()
    total(network(torch.randn(2, 3, *size))).backward()
    if any(p.grad is not None and not bool(p.grad.isfinite().all()) for p in network.parameters()):
        return "a gradient is not finite"
    # On the processor torch's counter passes over attention that it computes in one operator.
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        spec.build((3, *size), OUTPUTS).eval()(torch.zeros(1, 3, *size))
    counted, predicted = counter.get_total_flops() // 2, cost(spec, (3, *size), OUTPUTS).macs
    return None if counted == predicted else f"{predicted} multiply-adds predicted, {counted} counted"


def timed(space: Space, draws: int) -> dict[str, float]:
    """Medians of the milliseconds of processor time that a draw, its network and its predicted cost take."""
    rng = np.random.default_rng(0)
    times: dict[str, list[float]] = {"draw": [], "build": [], "cost": []}
    for _ in range(draws):
        marks = [time.process_time()]
        spec = space.realize(space.sample(rng))
        marks.append(time.process_time())
        spec.build((3, *SIZES[0]), OUTPUTS)
        marks.append(time.process_time())
        cost(spec, (3, *SIZES[0]), OUTPUTS)
        marks.append(time.process_time())
        for part, (start, end) in zip(times, itertools.pairwise(marks), strict=True):
            times[part].append(1e3 * (end - start))
    return {f"{part}_ms": round(statistics.median(values), 2) for part, values in times.items()}


def checked(space: Space, draws: int) -> list[str]:
    """What does not hold for the same draws."""
    rng, failures = np.random.default_rng(0), []
    for i in range(draws):
        spec = space.realize(space.sample(rng))
        for size in SIZES:
            try:
                reason = wrong(spec, size)
            except (RuntimeError, ValueError) as error:
                reason = str(error)
            if reason is not None:
                failures.append(f"draw {i} at {size}: {reason}")
                print(failures[-1], flush=True)
    return failures


def main() -> int:
    """Measures, prints, and keeps the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=["segmenter", "detector"])
    parser.add_argument("--draws", type=int, default=500)
    options = parser.parse_args()
    torch.set_num_threads(1)
    spaces = {name: Space(presets()[name]()) for name in options.names}
    figures: dict[str, dict[str, Any]] = {}
    for name, space in spaces.items():
        figures[name] = timed(space, options.draws)
        print(f"{name}: {options.draws} draws, medians {figures[name]}", flush=True)
    for name, space in spaces.items():
        figures[name] |= {"draws": options.draws, "failures": len(checked(space, options.draws))}
        print(f"{name}: {figures[name]['failures']} of {options.draws} draws failed", flush=True)
    holds = all(row["failures"] == 0 and row["cost_ms"] < BOUND_MS for row in figures.values())
    keep("random_draws", {**figures, "holds": holds})
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
