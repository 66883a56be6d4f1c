"""A search as phases: pooled trials in the actor pool, the others one by one, each kind by its own executor."""

from __future__ import annotations

from collections.abc import Callable

from cluster.executors.base import Calls, Executor, Halt


class Phases:
    """Runs each trial by the executor of its kind, one executor at a time.

    Args:
        pool: Makes the executor of pooled trials, when the first is there.
        single: Makes the executor of all others.
    """

    def __init__(self, pool: Callable[[], Executor], single: Callable[[], Executor]) -> None:
        self._make = {True: pool, False: single}
        self._made: dict[bool, Executor] = {}

    def run(self, driver: Calls) -> Halt | None:
        """Run trials until none is left; a phase ends when the next trial belongs to the other executor."""
        while (pooled := driver.begin_phase()) is not None:
            if pooled not in self._made:
                self._made[pooled] = self._make[pooled]()
            halt = self._made[pooled].run(driver)
            if halt is not None:
                return halt
        return driver.tick()
