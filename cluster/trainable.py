"""The Ray actor of a trial: a class `Trainable` that is kept and used again by the next trial.

A trial's own exception is a word that `step` returns, so that the actor lives; what Tune sees as a failure is a lost
process alone. Checkpoints are the trial's own business: Tune keeps none.
"""

from __future__ import annotations

import os
from typing import Any

from ray.tune import Trainable

from cluster.executors.base import Assignment, Shared, TrialRun, Word

ASSIGNMENT = "assignment"
WORD = "word"


class TrialActor(Trainable):
    """Runs trials, one after another, each a step at a time."""

    def setup(self, config: dict[str, Any], shared: Shared | None = None) -> None:
        """Take what all trials have in common, and the first trial.

        Args:
            config: The assignment of the first trial.
            shared: Read from the node's object store; arrays in it are not copied.
        """
        assert shared is not None
        # Torch reads it when it is imported, which a task may do later.
        os.environ["OMP_NUM_THREADS"] = str(shared.threads)
        self._shared = shared
        self._run: TrialRun | None = None
        self._given: dict[str, Any] | None = config[ASSIGNMENT]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Store the next trial; the work is in `step`."""
        self._given = new_config.pop(ASSIGNMENT)
        return True

    def step(self) -> dict[str, Any]:
        """Run to the trial's next report, or to its end."""
        if self._given is not None:
            if self._run is not None:
                self._run.close()
            self._run = TrialRun(Assignment.from_data(self._given), self._shared, capture=True)
            self._given = None
            # Tune sends the config back with every result.
            self.config = {}
        assert self._run is not None
        word: Word = self._run.step()
        # A tuple: Tune would flatten a dict, and keep statistics of each number in it.
        return {WORD: (word,), "done": word.ended}

    def cleanup(self) -> None:
        """Let the last trial go."""
        if self._run is not None:
            self._run.close()
