"""Searches in which a supernet is trained first: one `supernet` trial, then what it found, beside random candidates."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
from pydantic import Field

from controllers.base import Controller, ControllerConfig
from controllers.history import Record
from controllers.state import State
from controllers.table import Proposal
from controllers.trial import Status
from search_spaces.candidate import Candidate
from search_spaces.errors import SpecError
from search_spaces.relax import decoded, relaxable

DRAWS = 100
"""Draws that a random candidate may take to be a new one."""
ROLE = "role"
SUPERNET, FOUND, RANDOM = "supernet", "found", "random"


class SupernetConfig(ControllerConfig):
    """Who learns inside a `supernet` trial.

    Args:
        supernet_reports: Reports of the supernet's trial; None: as many as any trial has.
        baselines: Random candidates that are trained beside each that was found, with the same budget.
    """

    supernet_reports: Annotated[int, Field(ge=1)] | None = None
    baselines: Annotated[int, Field(ge=0)] = 1

    def updater(self, template: Any) -> Any:
        """Return what learns inside one trial, an `ArchUpdater` as the trainers declare it.

        Args:
            template: Of the space.
        """
        raise NotImplementedError


S = TypeVar("S", bound=SupernetConfig)


class SupernetSearch(Controller[S]):
    """Asks for one `supernet` trial, then for the network that its payload stands for, then for random ones.

    That is one round; another begins with a new supernet as long as the budget lasts. A supernet that failed is begun
    anew. Supernets take part in no ranking: their figures are not those of a network that can be had.

    Deviation: Liu et al., 2019, train the best of four searches alone; here all are trained, with a control each.
    """

    supports: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, config: S, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        self._check_space()
        self._found: Candidate | None = None
        self._baselines = 0
        self._training = False

    def _check_space(self) -> None:
        """Refuse a space of which a supernet cannot decide everything."""
        _, architecture = relaxable(self.space.template)
        zeros = {name: np.zeros(shape) for name, shape in architecture.layout().items()}
        try:
            self.space.candidate(decoded(self.space.template, zeros))
        except SpecError as error:
            rule = f"controller {self.kind!r} decides the cells of one architecture and nothing else"
            allowed = "a space with no other decision: fix it, or search it with another controller"
            raise SpecError(rule, error.path or "another decision", allowed, "space") from None

    def found(self, payload: Any) -> Candidate:
        """Return the candidate that a supernet's payload stands for.

        Args:
            payload: `logits`: name -> rows of numbers.
        """
        logits = {name: np.array(rows, dtype=np.float64) for name, rows in payload["logits"].items()}
        return self.space.candidate(decoded(self.space.template, logits))

    def _propose(self) -> Proposal | None:
        if self._found is not None:
            found, self._found = self._found, None
            return Proposal(found, {ROLE: FOUND})
        if self._baselines:
            self._baselines -= 1
            return Proposal(self._drawn(), {ROLE: RANDOM})
        if self._training:
            return None
        self._training = True
        return Proposal(Candidate({}), {ROLE: SUPERNET}, self.config.supernet_reports, mode="supernet")

    def _drawn(self) -> Candidate:
        """A random candidate, one that was not evaluated before where some draws find one."""
        candidate = self.space.sample(self.rng)
        for _ in range(DRAWS):
            if self._originals.of(Proposal(candidate)) is None:
                break
            candidate = self.space.sample(self.rng)
        return candidate

    def _update(self, record: Record, memo: State | None) -> None:
        if memo is None or memo[ROLE] != SUPERNET:
            return
        self._training = False
        ended = record.outcome.status in (Status.COMPLETED, Status.PRUNED)
        if ended and record.outcome.payload is not None:
            self._found, self._baselines = self.found(record.outcome.payload), self.config.baselines

    def _get_state(self) -> State:
        found = None if self._found is None else self._found.to_json()
        return {"found": found, "baselines": self._baselines, "training": self._training}

    def _set_state(self, state: State) -> None:
        # JSON sorts the paths; the space has them in the order of its walk.
        found = state["found"]
        self._found = None if found is None else self.space.candidate(Candidate.from_json(found))
        self._baselines, self._training = state["baselines"], state["training"]
