"""A warm start: random candidates ranked by a figure that needs no training, the best of them evaluated first."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from controllers.history import Record
from controllers.state import State, generator_state, make_generator, set_generator_state
from controllers.table import Proposal
from search_spaces.candidate import Candidate
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.spec import Spec

DRAWS = 1000
"""Draws after which a candidate that was drawn before is taken."""
Positive = Annotated[int, Field(ge=1)]


class WarmStart(Spec):
    """Ranks random candidates by a zero-cost proxy, and evaluates the best of them first.

    Args:
        proxy: The figure that ranks; greater is better.
        candidates: How many are drawn.
        best: How many of them are evaluated.

    Paper: Abdelfattah et al., 2021, arXiv 2101.08134, section 5.
    """

    proxy: str = "proxy/nwot"
    candidates: Positive = 100
    best: Positive = 10

    def check(self) -> None:
        """Refuses more of the best than are ranked."""
        if self.best > self.candidates:
            raise SpecError("the best are some of the candidates", self.best, f"<= {self.candidates}", "best")


class Warmup:
    """The part of a search that its warm start takes.

    Args:
        config: What is drawn, and how it is ranked.
        space: Where candidates come from.
        seed: Root seed of the search.
    """

    def __init__(self, config: WarmStart, space: Space, seed: int) -> None:
        self._config = config
        self._space = space
        cardinality = space.cardinality()
        self._wanted = config.candidates if cardinality is None else min(config.candidates, cardinality)
        self._rng = make_generator(seed, "warm_start")
        self._drawn: set[str] = set()
        self._asked = 0
        self._scores: list[tuple[float | None, int, Candidate]] = []

    @property
    def over(self) -> bool:
        """Whether every candidate was drawn and told."""
        return len(self._scores) >= self._wanted

    def propose(self) -> Proposal | None:
        """Return the next candidate to rank; None: all are drawn, not all are told."""
        if self._asked == self._wanted:
            return None
        candidate = self._space.sample(self._rng)
        for _ in range(DRAWS):
            if candidate.id not in self._drawn:
                break
            candidate = self._space.sample(self._rng)
        self._drawn.add(candidate.id)
        self._asked += 1
        return Proposal(candidate, fidelity=1, mode="proxy")

    def take(self, record: Record) -> list[Proposal]:
        """Take in how a proxy ended; once it was the last, return the best candidates, the best first.

        Args:
            record: A trial in mode `proxy`. One that is not feasible or lacks the figure is not among the best.
        """
        score = record.outcome.metrics.get(self._config.proxy)
        known = record.feasible and score is not None and math.isfinite(score)
        self._scores.append((score if known else None, record.trial.number, record.trial.candidate))
        if not self.over:
            return []
        ranked = sorted((-score, number, candidate) for score, number, candidate in self._scores if score is not None)
        best: dict[str, Proposal] = {}
        for _, _, candidate in ranked:
            best.setdefault(self._space.canonical(candidate).id, Proposal(candidate))
        return list(best.values())[: self._config.best]

    def get_state(self) -> State:
        """Return a state tree."""
        scores = [[score, number, candidate.to_json()] for score, number, candidate in self._scores]
        drawn = sorted(self._drawn)
        return {"generator": generator_state(self._rng), "asked": self._asked, "drawn": drawn, "scores": scores}

    def set_state(self, state: State) -> None:
        """Go on from what `get_state` returned."""
        set_generator_state(self._rng, state["generator"])
        self._asked, self._drawn = state["asked"], set(state["drawn"])
        # JSON sorts the paths; the space has them in the order of its walk.
        kept = [(score, number, Candidate.from_json(text)) for score, number, text in state["scores"]]
        self._scores = [(score, number, self._space.candidate(found)) for score, number, found in kept]
