"""A space as a recurrent policy sees it: one query a step, over one vocabulary of options.

Decisions with the same role share their rows of the vocabulary. What the masks leave no choice about is no query.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.candidate import Candidate
from search_spaces.domains import Choices, Domain, First, Subset, Value
from search_spaces.errors import SpecError
from search_spaces.space import DecisionPoint, Space

Anchor = tuple[str, int]
"""An item of a tuple: path of the tuple, index."""
Depths = tuple[int, int]
"""The least and the greatest n that a `First` may take."""


@dataclass(frozen=True)
class Plan:
    """What is known of a decision point before any walk.

    Args:
        domain: Its finite domain.
        rows: First row of the options of each of its choices; of the anchor itself if it has sources.
        sources: The items that it chooses from, if its options are earlier items.
        marks: The items that it belongs to: its hidden state stands for them from then on.
    """

    domain: Domain[Any]
    rows: tuple[int, ...]
    sources: tuple[Anchor, ...] | None
    marks: tuple[Anchor, ...]


@dataclass(frozen=True)
class Query:
    """One step of the policy and what it decides.

    Args:
        plan: The decision.
        row: First row of its options; of an anchor, its own row, before those of its options.
        mask: Which options are allowed, (n,); of an anchor, empty.
        position: Place of its first token among those of the walk.
    """

    plan: Plan
    row: int
    mask: tuple[bool, ...]
    position: int

    @property
    def many(self) -> bool:
        """Whether it asks a yes or no of every source, rather than for one of them."""
        return isinstance(self.plan.domain, Subset)

    @property
    def tokens(self) -> int:
        """Number of tokens that answer it."""
        return len(self.plan.sources or ()) if self.plan.sources is not None and self.many else 1

    def bits(self, choices: Choices) -> tuple[bool, ...]:
        """Return whether no and yes are allowed of the source that follows those answered by `choices`."""
        step = self.plan.domain.choices(choices)
        assert step is not None
        return step[1]

    def feed(self, choices: Choices) -> list[tuple[int, float]]:
        """Return the rows, and their weights, whose sum is the input of the next step."""
        if self.plan.sources is None:
            return [(self.row + choices[0], 1.0)]
        chosen = [i for i, bit in enumerate(choices) if bit] if self.many else choices
        return [(self.row, 1.0), *((self.row + 1 + i, 1.0 / len(chosen)) for i in chosen)]


Walk = Generator[Query, Choices, tuple[Candidate, tuple[int, ...]]]


class Script:
    """Turns walks through a space into queries.

    Args:
        space: The space.
        bins: Number of bins of continuous domains; None where there are none.

    Attributes:
        options: Rows of softmax options, the first rows of the vocabulary.
        rows: All rows: those of anchors follow, and one that starts every walk.
    """

    def __init__(self, space: Space, bins: int | None = None) -> None:
        self._space = space
        points = space.points()
        domains = {point.path: point.domain.binned(bins) for point in points}
        items = {point.path: _items(point.path) for point in points}
        named = {_tuple_of(point) for point in points if point.domain.of is not None}
        sizes = {point.path: _sizes(domains[point.path]) for point in points if point.domain.of is None}
        rows: dict[tuple[str, int, int], int] = {}
        self.options = 0
        for point in points:
            for place, n in enumerate(sizes.get(point.path, ())):
                if (point.role, place, n) not in rows:
                    rows[point.role, place, n] = self.options
                    self.options += n
        anchors, self.rows = _anchor_rows(points, self.options)
        self._plans: dict[str, Plan] = {}
        for point in points:
            sources = None
            if point.domain.of is not None:
                name = _tuple_of(point)
                sources = tuple((name, i) for i in range(_index_in(point, name)))
                first: tuple[int, ...] = (anchors[point.role],)
            else:
                first = tuple(rows[point.role, place, n] for place, n in enumerate(sizes[point.path]))
            marks = tuple(item for item in items[point.path] if item[0] in named)
            self._plans[point.path] = Plan(domains[point.path], first, sources, marks)

    @property
    def start(self) -> int:
        """The row that starts every walk."""
        return self.rows - 1

    def walk(self, depths: Depths | None = None) -> Walk:
        """Yields queries, is sent the choices that answer each, and returns the candidate and all its tokens.

        Args:
            depths: What every `First` is held to, as far as it can be.
        """
        tokens: list[int] = []
        walk = self._space.walk()
        try:
            point = next(walk)
            while True:
                value = yield from self._value(self._plans[point.path], depths, tokens)
                point = walk.send(value)
        except StopIteration as stop:
            return stop.value, tuple(tokens)

    def replay(self, tokens: Sequence[int], depths: Depths | None = None) -> list[tuple[Query, Choices]]:
        """Return the queries of a walk that took `tokens`, each with its answer.

        Raises:
            SpecError: The tokens break a mask, or are too few or too many.
        """
        asked: list[tuple[Query, Choices]] = []
        walk = self.walk(depths)
        try:
            query = next(walk)
            while True:
                choices = tuple(int(token) for token in tokens[query.position : query.position + query.tokens])
                asked.append((query, choices))
                query = walk.send(choices)
        except StopIteration as stop:
            made = stop.value[1]
        if made != tuple(int(token) for token in tokens):
            raise SpecError("tokens that the masks forbid cannot be scored", list(tokens), str(list(made)))
        return asked

    def _value(self, plan: Plan, depths: Depths | None, tokens: list[int]) -> Generator[Query, Choices, Value]:
        if plan.sources is not None:
            choices = yield Query(plan, plan.rows[0], (), len(tokens))
            tokens.extend(choices)
            return plan.domain.value_of(choices)
        prefix: Choices = ()
        while (step := plan.domain.choices(prefix)) is not None:
            mask = step[1]
            if depths is not None and isinstance(plan.domain, First):
                mask = _held(plan.domain, depths)
            if sum(mask) == 1:
                pick = mask.index(True)
            else:
                (pick,) = yield Query(plan, plan.rows[len(prefix)], mask, len(tokens))
            tokens.append(pick)
            prefix = (*prefix, pick)
        return plan.domain.value_of(prefix)


def _held(domain: First[Any], depths: Depths) -> tuple[bool, ...]:
    greatest = min(max(depths[1], domain.low), len(domain.items))
    least = min(max(depths[0], domain.low), greatest)
    return tuple(least <= n <= greatest for n in range(domain.low, len(domain.items) + 1))


def _sizes(domain: Domain[Any]) -> tuple[int, ...]:
    """Return the number of options of each choice, masked ones included."""
    found: Choices = ()
    prefix: Choices = ()
    while (step := domain.choices(prefix)) is not None:
        found = (*found, step[0])
        prefix = (*prefix, step[1].index(True))
    return found


def _items(path: str) -> tuple[Anchor, ...]:
    parts = path.split("/")
    return tuple(("/".join(parts[:i]), int(part)) for i, part in enumerate(parts) if part.isdigit())


def _tuple_of(point: DecisionPoint) -> str:
    """Return the path of the innermost tuple that the options of `point` are items of."""
    named = [name for name, _ in _items(point.path) if name.split("/")[-1] == point.domain.of]
    return named[-1]


def _index_in(point: DecisionPoint, name: str) -> int:
    return dict(_items(point.path))[name]


def _anchor_rows(points: Sequence[DecisionPoint], start: int) -> tuple[dict[str, int], int]:
    """Return the row of each role of anchors, and the number of rows of the whole vocabulary."""
    most: dict[str, int] = {}
    for point in points:
        if point.domain.of is not None:
            most[point.role] = max(most.get(point.role, 0), _index_in(point, _tuple_of(point)))
    rows = {}
    for role, sources in most.items():
        rows[role] = start
        start += 1 + sources
    return rows, start + 1
