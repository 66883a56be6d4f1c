"""What a trial gets, how many fit, and whether any node can hold one at all."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from search_spaces.errors import SpecError

if TYPE_CHECKING:
    from cluster.config import Resources


def bundle(resources: Resources) -> dict[str, float]:
    """Return what Ray sets aside for one trial.

    Args:
        resources: As the search file says.
    """
    found = {"CPU": float(resources.cpus)}
    if resources.gpus:
        found["GPU"] = float(resources.gpus)
    return found


def concurrency(resources: Resources, free: Sequence[Mapping[str, float]]) -> int:
    """Return how many trials run at a time: what the file says, else as many as fit.

    Args:
        resources: As the search file says.
        free: What each node has that nobody uses.
    """
    return resources.concurrency or fitting(resources, free)


def counted(resources: Resources, pooled: bool) -> int | None:
    """Return with how many CPUs a Ray of our own counts; None: those there are.

    Args:
        resources: As the search file says.
        pooled: Whether trials share actors, so that many at a time need no CPU each.
    """
    if resources.concurrency is None:
        return None
    wanted = resources.concurrency * resources.cpus
    return min(wanted, max(resources.cpus, os.cpu_count() or 1)) if pooled else wanted


def fitting(resources: Resources, free: Sequence[Mapping[str, float]]) -> int:
    """Return how many trials fit side by side, at least one.

    Args:
        resources: As the search file says.
        free: What each node has that nobody uses; a trial fits on one node or nowhere.
    """
    need = bundle(resources)
    return max(1, sum(min(_times(amount, node.get(name, 0.0)) for name, amount in need.items()) for node in free))


def _times(amount: float, free: float) -> int:
    # 1.0 // 0.2 is 4.
    return math.floor(free / amount + 1e-9)


def check_here(resources: Resources, own_ray: bool) -> None:
    """Refuse what no Ray is needed to refuse.

    Args:
        resources: As the search file says.
        own_ray: Whether the trials run in a Ray of our own, on this machine.

    Raises:
        SpecError: There are several processes a trial, or a trial is too large for this machine.
    """
    if resources.workers > 1:
        raise SpecError("a trial runs in one process in this version", resources.workers, "1", "resources/workers")
    # A Ray of our own counts with as many CPUs as `concurrency` trials need.
    if own_ray and resources.concurrency is None:
        check_fits(resources, [{"CPU": float(os.cpu_count() or 1), "GPU": math.inf}])


def check_fits(resources: Resources, nodes: Sequence[Mapping[str, float]]) -> None:
    """Refuse a trial that no node can ever hold.

    Args:
        resources: As the search file says.
        nodes: What each node has in all.

    Raises:
        SpecError: The trial is too large for every node.
    """
    need = bundle(resources)
    if any(all(node.get(name, 0.0) >= amount for name, amount in need.items()) for node in nodes):
        return
    names = {"CPU": "cpus", "GPU": "gpus"}
    for name, amount in need.items():
        largest = max((node.get(name, 0.0) for node in nodes), default=0.0)
        if largest < amount:
            path = f"resources/{names[name]}"
            raise SpecError("a trial must fit on a node", amount, f"at most {largest:g}, the largest node's", path)
    raise SpecError("a trial must fit on a node", need, "what one node has at once", "resources")


def device(resources: Resources) -> str:
    """Return the torch device of a trial; Ray shows a trial its own devices alone."""
    return "cuda" if resources.gpus else "cpu"


def describe(free: Mapping[str, Any]) -> str:
    """Return the resources that people ask about, as text."""
    return ", ".join(f"{free[name]:g} {name}" for name in ("CPU", "GPU") if free.get(name))
