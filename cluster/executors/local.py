"""Trials in this process, a step of each in turn: for tests, for a debugger, for replaying one trial."""

from __future__ import annotations

from cluster.executors.base import Answer, Assignment, Calls, Halt, Shared, TrialRun, take


class LocalExecutor:
    """Runs trials here.

    Args:
        shared: What all trials have in common.
        capture: Whether what trials print goes to their logs; a debugger needs the terminal.
    """

    def __init__(self, shared: Shared, capture: bool = False) -> None:
        self._shared = shared
        self._capture = capture

    def run(self, driver: Calls) -> Halt | None:
        """Run trials until none is left; `driver.concurrency` of them take turns."""
        runs: list[TrialRun] = []
        while True:
            if (halt := driver.tick()) is not None:
                for run in runs:
                    run.close()
                return halt
            answer: Assignment | Answer = Answer.WAIT
            while len(runs) < driver.concurrency:
                answer = driver.next_trial()
                if isinstance(answer, Answer):
                    break
                runs.append(TrialRun(answer, self._shared, self._capture))
            if not runs and answer is Answer.DONE:
                return None
            runs = [run for run in runs if self._goes_on(driver, run)]

    def _goes_on(self, driver: Calls, run: TrialRun) -> bool:
        goes_on = take(driver, run.assignment, run.step())
        if not goes_on:
            run.close()
        return goes_on
