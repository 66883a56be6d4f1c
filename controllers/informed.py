"""What controllers share that propose by what was told."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from controllers.base import Controller, ControllerConfig
from controllers.capabilities import CONTINUOUS
from controllers.history import Record
from controllers.table import Proposal
from search_spaces.candidate import Candidate

C = TypeVar("C", bound=ControllerConfig)


class Informed(Controller[C]):
    """Learns in `_update` alone: an ask draws from the generator and changes nothing else."""

    supports: ClassVar[frozenset[str]] = frozenset({CONTINUOUS})
    redraws = True

    def score(self, record: Record) -> float:
        """Return the objective of a record that has a value, greater is better."""
        assert record.values is not None
        return self.objectives[0].score(record.values[0])

    def worth(self, name: str) -> float:
        """Return the mean objective of a group of repeats, or that of a trial alone, greater is better."""
        return self._history.scores(name)[0]

    def settled(self, record: Record) -> str | None:
        """Return the group that a record is the last repeat of, or its trial; None: others follow, or none ranks."""
        trial = record.trial
        name = trial.group or trial.trial_id
        if trial.same_as is not None or not self._history.ranks(name):
            return None
        waiting = (*(entry.trial.group for entry in self._pending.values()), *(each.group for each in self._queue))
        return None if trial.group is not None and trial.group in waiting else name

    def is_new(self, candidate: Candidate) -> bool:
        """Tell whether no trial evaluates `candidate`, in canonical form."""
        return self._originals.of(Proposal(candidate)) is None
