"""Hill climbing over small moves, and what follows when the top is reached.

Paper: White et al., 2020, arXiv 2005.02960.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from controllers.base import ControllerConfig
from controllers.history import Record
from controllers.informed import Informed
from controllers.state import State
from controllers.table import Proposal
from search_spaces.candidate import Candidate

Positive = Annotated[int, Field(ge=1)]
C = TypeVar("C", bound="LocalSearchConfig | RestartsConfig")


class LocalSearchConfig(ControllerConfig):
    """Climbs from the best, then from the next best.

    Args:
        initial: Random candidates before the first climb.
        moves: Random moves of each continuous decision in a neighbourhood.
    """

    kind: Literal["local_search"] = "local_search"
    initial: Positive = 10
    moves: Positive = 4


class RestartsConfig(ControllerConfig):
    """Climbs from one random candidate after the other.

    Args:
        initial: Random candidates before each climb, which starts from the best of them.
        moves: Random moves of each continuous decision in a neighbourhood.
    """

    kind: Literal["restarts"] = "restarts"
    initial: Positive = 1
    moves: Positive = 4


class Climber(Informed[C]):
    """Moves to the first neighbour that is better; where none is, the climb is over.

    Several trials in flight belong to one climb; what is asked while its last neighbours are evaluated is drawn at
    random.
    """

    def __init__(self, config: C, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        self._at: str | None = None  # the trial that the climb has reached; None: a start is being looked for
        self._neighbours: list[Candidate] = []
        self._rounds = 1 if all(point.domain.finite for point in self.space.points()) else config.moves

    def _propose(self) -> Proposal:
        for candidate in self._neighbours:
            if self.is_new(candidate):
                return Proposal(candidate, {"of": self._at})
        return Proposal(self.space.sample(self.rng))

    def _update(self, record: Record, memo: State | None) -> None:
        name = self.settled(record)
        if name is not None:
            if self._at is not None and self.worth(name) > self.worth(self._at):
                self._climb(name)
            elif memo is None:
                self._found(name)
        while True:
            while self._neighbours and not self.is_new(self._neighbours[0]):
                del self._neighbours[0]
            if self._neighbours or self._climbing():
                return
            start = self._start()
            if start is None:
                self._at = None
                return
            self._climb(start)

    @abstractmethod
    def _found(self, name: str) -> None:
        """Take note of a trial that no climb has asked for."""

    @abstractmethod
    def _start(self) -> str | None:
        """Return the trial that the next climb starts from; None: random candidates are asked for first."""

    def _climb(self, name: str) -> None:
        self._at = name
        middle = self.records[name].trial.candidate
        drawn = [near for _ in range(self._rounds) for near in self.space.neighbours(middle, self.rng)]
        found = list({near.id: near for near in drawn}.values())
        self._neighbours = [found[int(i)] for i in self.rng.permutation(len(found))]

    def _climbing(self) -> bool:
        if self._at is None:
            return False
        return any(entry.memo is not None and entry.memo["of"] == self._at for entry in self._pending.values())

    def _best_of(self, names: Sequence[str]) -> str | None:
        return max(names, key=self.worth, default=None)

    def _get_state(self) -> State:
        return {"at": self._at, "neighbours": [candidate.to_json() for candidate in self._neighbours]}

    def _set_state(self, state: State) -> None:
        self._at = state["at"]
        self._neighbours = [self.space.candidate(Candidate.from_json(text)) for text in state["neighbours"]]


class LocalSearch(Climber[LocalSearchConfig]):
    """Climbs, and at the top goes on from the best trial whose neighbours were not all asked for.

    Paper: White et al., 2020, arXiv 2005.02960, with its extension for the time after a local optimum.
    """

    config_type = LocalSearchConfig

    def __init__(self, config: LocalSearchConfig, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        self._left: list[str] = []
        self._settled = 0

    def _update(self, record: Record, memo: State | None) -> None:
        name = self.settled(record)
        if name is not None:
            self._left.append(name)
            self._settled += 1
        super()._update(record, memo)

    def _found(self, name: str) -> None:
        pass

    def _start(self) -> str | None:
        return None if self._settled < self.config.initial else self._best_of(self._left)

    def _climb(self, name: str) -> None:
        self._left.remove(name)
        super()._climb(name)

    def _get_state(self) -> State:
        return {**super()._get_state(), "left": list(self._left), "settled": self._settled}

    def _set_state(self, state: State) -> None:
        super()._set_state(state)
        self._left, self._settled = list(state["left"]), state["settled"]


class Restarts(Climber[RestartsConfig]):
    """Climbs, and at the top starts anew from a random candidate.

    Paper: White et al., 2020, arXiv 2005.02960, section 3, with random restarts.
    """

    config_type = RestartsConfig

    def __init__(self, config: RestartsConfig, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        self._drawn: list[str] = []

    def _found(self, name: str) -> None:
        self._drawn.append(name)

    def _start(self) -> str | None:
        return None if len(self._drawn) < self.config.initial else self._best_of(self._drawn)

    def _climb(self, name: str) -> None:
        self._drawn = []
        super()._climb(name)

    def _get_state(self) -> State:
        return {**super()._get_state(), "drawn": list(self._drawn)}

    def _set_state(self, state: State) -> None:
        super()._set_state(state)
        self._drawn = list(state["drawn"])
