"""Claim: drawing a candidate costs nothing beside training it.

A space of 60 active decision points: ten blocks of an integer, a category, a float, a subset, and a choice with a
decision of its own below each option. Each draw samples a candidate from a generator and realizes it. The figure is the
mean over the draws, the median of three rounds.

Bound: sampling and realizing take less than 0.5 ms.

    python -m benchmarks.sampling [--draws 2000]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from typing import Any

import numpy as np

from benchmarks.record import keep
from search_spaces.space import Space
from search_spaces.template import template

BOUND_MS = 0.5
ROUNDS = 3
POINTS = 60


def joint_space() -> Space:
    """The space: every candidate has 60 active points."""
    blocks: dict[str, Any] = {
        f"block{i}": {
            "width": {"integer": [8, 256], "step": 8},
            "kernel": {"categorical": [1, 3, 5, 7]},
            "rate": {"float": [1e-4, 1e-1], "log": True},
            "skips": {"subset": [0, 1, 2, 3], "low": 0, "high": 4},
            "kind": {
                "categorical": {"plain": {"slope": {"float": [0.0, 0.3]}}, "gated": {"bias": {"integer": [0, 3]}}}
            },
        }
        for i in range(10)
    }
    return Space(template(blocks))


def draw_ms(space: Space, draws: int, seed: int) -> float:
    """Milliseconds of one draw."""
    generator = np.random.default_rng(seed)
    began = time.perf_counter()
    for _ in range(draws):
        space.realize(space.sample(generator))
    return (time.perf_counter() - began) / draws * 1e3


def main() -> int:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--draws", type=int, default=2000)
    draws = parser.parse_args().draws
    space = joint_space()
    points = len(space.sample(np.random.default_rng(0)))
    assert points == POINTS, points
    found = statistics.median(draw_ms(space, draws, seed) for seed in range(ROUNDS))
    figures = {"sample_and_realize_ms": round(found, 4), "points": points, "bound_ms": BOUND_MS}
    print(json.dumps(figures))
    keep("sampling", {**figures, "draws": draws})
    return 0 if found < BOUND_MS else 1


if __name__ == "__main__":
    sys.exit(main())
