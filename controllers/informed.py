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

    def is_new(self, candidate: Candidate) -> bool:
        """Tell whether no trial evaluates `candidate`, in canonical form."""
        return self._originals.of(Proposal(candidate)) is None
