"""Claim: one controller, PPO or REINFORCE, serves 30 children of 50 choices a second.

A child is asked for, told and learned from: 50 categorical decisions of 6 options, with the papers' settings, told in
ask order with 100 in flight. A search whose machines together end fewer children a second is not bounded by its
controller: 450 machines would have to end a child each every 15 s to reach 30.

With `--replicas 1 2 4` the gradients and samples of a batch are shared by so many actors of Ray on this machine
(`controller.replicas`), which give the same search bit for bit wherever they run. Their figures are printed and not
bound: they are of as many cores as this machine has, and every ask and tell still passes through the driver.

Bound: at least 30 children a second with one process, and a median ask, which draws a sample, below 20 ms.

    python -m benchmarks.controller_rate [--children 600] [--replicas 1 2]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import deque
from typing import Any

from benchmarks.record import keep
from cluster.ray_runtime import RayRuntime, prepare
from cluster.replicas import distributed
from controllers.base import make_controller
from controllers.objective import Objective
from controllers.rl.controller import PolicyConfig
from controllers.rl.ppo import PpoConfig
from controllers.rl.reinforce import ReinforceConfig
from controllers.trial import Outcome, Status
from search_spaces.domains import Categorical
from search_spaces.space import Space

TOKENS, OPTIONS, IN_FLIGHT = 50, 6, 100
BOUND = 30.0
SAMPLE_MS = 20.0
CONFIGS: dict[str, type[PolicyConfig]] = {"ppo": PpoConfig, "reinforce": ReinforceConfig}


def rate(config: PolicyConfig, children: int) -> dict[str, float]:
    """Children a second, and where the time goes, in milliseconds a child."""
    items = tuple({f"choice{k}": Categorical(tuple(range(OPTIONS))) for k in range(5)} for _ in range(TOKENS // 5))
    controller = make_controller(config, Space({"blocks": items}), [Objective(metric="x")])
    asks: list[float] = []
    tells: list[float] = []
    with distributed(controller):
        waiting = deque(controller.ask(IN_FLIGHT))
        start = time.perf_counter()
        for _ in range(children):
            trial = waiting.popleft()
            value = statistics.fmean(trial.candidate.values()) / (OPTIONS - 1)
            before = time.perf_counter()
            controller.tell(trial.trial_id, Outcome(Status.COMPLETED, {"x": value}, 1))
            between = time.perf_counter()
            waiting.extend(controller.ask(1))
            asks.append(1000 * (time.perf_counter() - between))
            tells.append(1000 * (between - before))
        seconds = time.perf_counter() - start
    return {
        "per_second": round(children / seconds, 1),
        "ask_ms": round(statistics.fmean(asks), 2),
        "ask_median_ms": round(statistics.median(asks), 2),
        "tell_ms": round(statistics.fmean(tells), 2),
    }


def main() -> int:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--children", type=int, default=600)
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    prepare()
    found: dict[str, dict[str, Any]] = {}
    with RayRuntime():
        for kind, config in CONFIGS.items():
            found[kind] = {}
            for replicas in options.replicas:
                row = rate(config(replicas=replicas), options.children)  # type: ignore[call-arg]
                found[kind][str(replicas)] = row
                print(
                    f"{kind:<10} {replicas} replicas: {row['per_second']:6.1f} children a second; ask "
                    f"{row['ask_ms']:.2f} ms (median {row['ask_median_ms']:.2f}), tell {row['tell_ms']:.2f} ms",
                    flush=True,
                )
    single = [rows["1"] for rows in found.values() if "1" in rows]
    holds = all(row["per_second"] >= BOUND and row["ask_median_ms"] < SAMPLE_MS for row in single)
    keep("controller_rate", {"bound": BOUND, "sample_ms": SAMPLE_MS, "holds": holds, **vars(options), "found": found})
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
