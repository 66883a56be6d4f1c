"""Regularized evolution: children of good candidates replace the oldest, not the worst.

Paper: Real et al., 2018, arXiv 1802.01548, algorithm 1.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from controllers.base import ControllerConfig
from controllers.history import Record
from controllers.informed import Informed
from controllers.state import State
from controllers.table import Proposal
from search_spaces.candidate import Candidate
from search_spaces.errors import SpecError

STEPS = 10
"""Moves that a child makes at most to become one that was not asked for."""
Positive = Annotated[int, Field(ge=1)]


class EvolutionConfig(ControllerConfig):
    """Aging evolution.

    Args:
        population: Trials that can have children: so many are drawn at random first, then the latest.
        sample: Members of the population that compete to be the parent.

    Paper: arXiv 1802.01548, table 1 of the supplement: 100 and 25.
    Deviation: 20 and 5, the same share, since the paper's 20,000 trials are more than most searches have.
    """

    kind: Literal["evolution"] = "evolution"
    population: Positive = 20
    sample: Positive = 5

    def check(self) -> None:
        """Refuses a tournament that is larger than the population."""
        if self.sample > self.population:
            raise SpecError("the sample is drawn from the population", self.sample, f"<= {self.population}", "sample")


class Evolution(Informed[EvolutionConfig]):
    """Mutates the best of a random sample of the latest trials.

    Trials that failed, were pruned or broke a constraint have no children and push nobody out. A mutation is one move
    of one decision, drawn first; decisions that become active are sampled.

    Paper: Real et al., 2018, arXiv 1802.01548, algorithm 1; the sample is drawn with replacement, as in its code.
    Deviation: no identity mutation, and a child that was asked for before moves on until it is new, as duplicates are
        answered from a cache and would teach nothing.
    """

    config_type = EvolutionConfig

    def __init__(self, config: EvolutionConfig, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        self._population: list[str] = []

    def _propose(self) -> Proposal:
        wanted = self.config.population - len(self._population)
        if not self._population or wanted > self._evaluated():
            return Proposal(self.space.sample(self.rng))
        return Proposal(self._child(self.records[self._parent()].trial.candidate))

    def _update(self, record: Record, memo: State | None) -> None:
        name = self.settled(record)
        if name is not None:
            self._population.append(name)
            del self._population[: -self.config.population]

    def _evaluated(self) -> int:
        """Candidates that are being evaluated now, repeats counted once."""
        return len({trial.group or trial.trial_id for trial in self.pending if trial.same_as is None})

    def _parent(self) -> str:
        drawn = [int(self.rng.random() * len(self._population)) for _ in range(self.config.sample)]
        # Of equals the first drawn, as `max` has it.
        return max((self._population[i] for i in drawn), key=self.worth)

    def _child(self, parent: Candidate) -> Candidate:
        child = parent
        for _ in range(STEPS):
            moved = self.space.neighbour(child, self.rng)
            if moved is None:
                break
            child = moved
            if self.duplicates == "evaluate" or self.is_new(child):
                return child
        return self.space.sample(self.rng)

    def _get_state(self) -> State:
        return {"population": list(self._population)}

    def _set_state(self, state: State) -> None:
        self._population = list(state["population"])
