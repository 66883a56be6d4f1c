"""A space is a template with holes; one walk goes through it, and everything else is a walker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import numpy as np

from search_spaces.candidate import Candidate
from search_spaces.compiled import Builder, DecisionPoint, Point, compile_points, compile_template
from search_spaces.domains import Value, same
from search_spaces.errors import SpecError, join, unknown
from search_spaces.spec import Spec, plain, specs

__all__ = ["DecisionPoint", "Space"]

REMEMBERED = 4096
"""Candidates whose canonical form is remembered."""
Walk = Generator[DecisionPoint, Value, Candidate]


class Space:
    """All concrete versions of a template.

    Args:
        template: A spec, mapping or tuple with holes.
    """

    def __init__(self, template: Any) -> None:
        self.template = template
        self._roots: tuple[Point, ...] = compile_points(template)
        self._build: Builder | None = None
        self._fingerprint: str | None = None
        self._by_path: dict[str, Point] | None = None
        self._forms: dict[Candidate, Candidate] = {}
        self._own: dict[str, tuple[tuple[str, Spec], ...]] = {}

    def walk(self) -> Walk:
        """Yields the next active decision point, depth first in declaration order; is sent its value; goes on.

        Returns:
            The candidate, as the generator's value.

        Raises:
            SpecError: A value that was sent is not in the point's domain.
        """
        values: dict[str, Value] = {}
        stack = list(reversed(self._roots))
        while stack:
            point = stack.pop()
            value = yield point.decision
            domain = point.decision.domain
            if not domain.contains(value):
                raise SpecError("not a value of this decision", value, domain.describe(), point.decision.path)
            values[point.decision.path] = value
            if point.branches:
                for label in reversed(domain.active(value)):
                    stack.extend(reversed(point.branches.get(label, ())))
        return Candidate(values)

    def replay(self, choose: Callable[[DecisionPoint], Value]) -> Candidate:
        """Walks the space with `choose` answering every decision, and returns the candidate."""
        walk = self.walk()
        try:
            point = next(walk)
            while True:
                point = walk.send(choose(point))
        except StopIteration as stop:
            candidate: Candidate = stop.value
            return candidate

    def sample(self, rng: np.random.Generator) -> Candidate:
        """Returns a random candidate: uniform over the values of each decision that becomes active."""
        return self.replay(lambda point: point.domain.sample(rng))

    def candidate(self, values: Mapping[str, Any]) -> Candidate:
        """Returns the candidate of a mapping of path to value, lists taken as tuples.

        Args:
            values: Exactly the active paths.

        Raises:
            SpecError: A path is missing or unknown, or its value is not in the domain.
        """
        given = Candidate.from_data(values)

        def choose(point: DecisionPoint) -> Value:
            if point.path not in given:
                raise SpecError("this decision has no value", allowed=point.domain.describe(), path=point.path)
            return given[point.path]

        made = self.replay(choose)
        for path in given:
            if path not in made:
                raise unknown("or inactive path", path, made)
        return made

    def contains(self, candidate: Mapping[str, Any]) -> bool:
        """Tells whether the mapping is a candidate of this space."""
        try:
            self.candidate(candidate)
        except SpecError:
            return False
        return True

    def realize(self, candidate: Candidate) -> Any:
        """Returns the template with every hole filled: concrete specs, which can be built and trained.

        Args:
            candidate: A candidate of this space.

        Raises:
            SpecError: The choices break a rule that joins several fields.
        """
        if self._build is None:
            self._build = compile_template(self.template)
        return self._build(candidate)

    def points(self) -> tuple[DecisionPoint, ...]:
        """Returns every decision point that can ever be active, depth first in declaration order."""
        found: list[DecisionPoint] = []
        stack = list(reversed(self._roots))
        while stack:
            point = stack.pop()
            found.append(point.decision)
            for below in reversed(tuple(point.branches.values())):
                stack.extend(reversed(below))
        return tuple(found)

    def cardinality(self) -> int | None:
        """Returns the number of candidates, or None when a decision is continuous."""
        if not all(point.domain.finite for point in self.points()):
            return None
        return _count(self._roots)

    def enumerate(self) -> Iterator[Candidate]:
        """Yields every candidate of a finite space, the last decision varying fastest."""
        position: list[int] = []
        listed: dict[str, tuple[Value, ...]] = {}
        while True:
            radices: list[int] = []

            def choose(point: DecisionPoint, radices: list[int] = radices) -> Value:
                if point.path not in listed:
                    listed[point.path] = tuple(point.domain.values())
                values = listed[point.path]
                if len(radices) == len(position):
                    position.append(0)
                radices.append(len(values))
                return values[position[len(radices) - 1]]

            yield self.replay(choose)
            while radices and position[len(radices) - 1] + 1 == radices[-1]:
                radices.pop()
            if not radices:
                return
            del position[len(radices) :]
            position[-1] += 1

    def neighbours(self, candidate: Candidate, rng: np.random.Generator) -> list[Candidate]:
        """Returns the candidates one small move away; decisions that a move makes active are sampled.

        What is drawn does not depend on the order of the candidate's paths, which its JSON does not keep.
        """
        points = self._all()
        moves = [
            (path, other)
            for path in sorted(candidate)
            for other in points[path].decision.domain.neighbours(candidate[path], rng)
        ]
        return [self._moved(candidate, path, other, rng) for path, other in moves]

    def neighbour(self, candidate: Candidate, rng: np.random.Generator) -> Candidate | None:
        """Returns a random one of the candidates one small move away: first a decision is drawn, then where it moves.

        Returns:
            The neighbour; None where no decision leaves a choice.
        """
        points, paths = self._all(), sorted(candidate)
        while paths:
            path = paths.pop(int(rng.random() * len(paths)))
            moves = points[path].decision.domain.neighbours(candidate[path], rng)
            if moves:
                return self._moved(candidate, path, moves[int(rng.random() * len(moves))], rng)
        return None

    def _all(self) -> dict[str, Point]:
        if self._by_path is None:
            self._by_path, stack = {}, list(self._roots)
            while stack:
                point = stack.pop()
                self._by_path[point.decision.path] = point
                stack.extend(below for points in point.branches.values() for below in points)
        return self._by_path

    def _moved(self, candidate: Candidate, path: str, value: Value, rng: np.random.Generator) -> Candidate:
        if not self._all()[path].branches:
            # No other decision depends on this one.
            return Candidate({**candidate, path: value})

        def choose(point: DecisionPoint) -> Value:
            if point.path == path:
                return value
            kept = candidate.get(point.path)
            known = point.path in candidate and point.domain.contains(kept)
            return kept if known else point.domain.sample(rng)

        return self.replay(choose)

    def canonical(self, candidate: Candidate) -> Candidate:
        """Returns the candidate that stands for all equivalent ones; itself unless a spec of the template says more."""
        if not self._with_own("canonical"):
            return candidate
        found = self._forms.get(candidate)
        if found is None:
            if len(self._forms) >= REMEMBERED:
                self._forms.clear()
            found = self._forms[candidate] = self._canonical(candidate)
        return candidate if found == candidate else found

    def _canonical(self, candidate: Candidate) -> Candidate:
        values = dict(candidate)
        for prefix, spec in self._with_own("canonical"):
            if not (below := _below(prefix, values)):
                continue
            changed = {f"{prefix}{name}": value for name, value in spec.canonical(below).items()}
            values = {name: value for name, value in values.items() if not name.startswith(prefix)} | changed
        unchanged = values.keys() == candidate.keys() and all(same(values[path], candidate[path]) for path in values)
        return candidate if unchanged else Candidate(values)

    def path_features(self, candidate: Candidate) -> tuple[str, ...]:
        """Returns what the architectures of a candidate compute, as a sorted multiset of texts that can be compared.

        Each text is the operations on one path from input to output, behind the path of the spec that says so. Empty
        unless a spec of the template has such features; equivalent candidates have the same.
        """
        found: list[str] = []
        for prefix, spec in self._with_own("path_features"):
            if below := _below(prefix, candidate):
                found += [f"{prefix}{feature}" for feature in spec.path_features(below)]
        return tuple(sorted(found))

    def _with_own(self, method: str) -> tuple[tuple[str, Spec], ...]:
        """Returns the specs of the template with a method of their own, each behind the prefix of its decisions."""
        if method not in self._own:
            own = [
                found for found in specs(self.template) if getattr(type(found[1]), method) is not getattr(Spec, method)
            ]
            self._own[method] = tuple((join(path, "_")[:-1], spec) for path, spec in own)
        return self._own[method]

    @property
    def fingerprint(self) -> str:
        """Hash of the template with every default written out: 16 hexadecimal digits.

        The order of keys and options counts, since learned weights and tokens are stored by place; so do the names of
        classes that no field declares.
        """
        if self._fingerprint is None:
            text = json.dumps(plain(self.template, lambda cls: cls.__qualname__), separators=(",", ":"))
            self._fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self._fingerprint


def _count(points: tuple[Point, ...]) -> int:
    total = 1
    for point in points:
        total *= point.decision.domain.weighted({label: _count(below) for label, below in point.branches.items()})
    return total


def _below(prefix: str, values: Mapping[str, Value]) -> dict[str, Value]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
