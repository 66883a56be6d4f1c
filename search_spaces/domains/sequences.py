"""Domains of sequences: parts of a total, the first of some items, a path over levels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from search_spaces.domains.base import Choices, Domain, Next, T, Value
from search_spaces.errors import SpecError


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class Composition(Domain[T]):
    """Ordered ways of writing `total` as a sum of `parts` whole numbers of at least `minimum`.

    Args:
        total: What the parts add up to.
        parts: How many parts.
        minimum: The least part.

    Paper: Liang et al. 2020, arXiv 1912.11234 (stage reallocation).
    """

    total: int
    parts: int
    minimum: int = 1
    key: ClassVar[str] = "composition"

    def __post_init__(self) -> None:
        if not all(map(_whole, (self.total, self.parts, self.minimum))) or self.parts < 1 or self.minimum < 0:
            raise SpecError("composition needs whole numbers, parts >= 1, minimum >= 0", self.to_data())
        if self.total < self.parts * self.minimum:
            raise SpecError("total is less than parts x minimum", self.total, f">= {self.parts * self.minimum}")

    @property
    def _spare(self) -> int:
        return self.total - self.parts * self.minimum

    def choices(self, prefix: Choices) -> Next | None:
        if len(prefix) == self.parts:
            return None
        left = self._spare - sum(prefix)
        last = len(prefix) == self.parts - 1
        return self._spare + 1, tuple(i == left if last else i <= left for i in range(self._spare + 1))

    def _state(self, prefix: Choices) -> Any:
        return sum(prefix)

    def value_of(self, choices: Choices) -> Value:
        return tuple(self.minimum + extra for extra in choices)

    def choices_of(self, value: Value) -> Choices:
        if not self.contains(value):
            raise SpecError("not a composition", value, self.describe())
        return tuple(part - self.minimum for part in value)

    def contains(self, value: Value) -> bool:
        return (
            isinstance(value, tuple)
            and len(value) == self.parts
            and all(_whole(part) and part >= self.minimum for part in value)
            and sum(value) == self.total
        )

    def neighbours(self, value: Value, rng: np.random.Generator) -> list[Value]:
        moved = []
        for giver in range(self.parts):
            for taker in range(self.parts):
                if giver != taker and value[giver] > self.minimum:
                    parts = list(value)
                    parts[giver] -= 1
                    parts[taker] += 1
                    moved.append(tuple(parts))
        return moved

    def features(self, value: Value) -> tuple[float, ...]:
        return tuple(part / self.total for part in value)

    def refined(self, validate: Callable[[str, Any], Any]) -> Domain[T]:
        rest = (self.minimum,) * (self.parts - 1)
        validate("first", (self._spare + self.minimum, *rest))
        validate("last", (*rest, self._spare + self.minimum))
        return self

    def describe(self) -> str:
        return f"{self.parts} whole numbers >= {self.minimum} with the sum {self.total}"

    def to_data(self) -> dict[str, Any]:
        return {"composition": self.total, "parts": self.parts, "minimum": self.minimum}


@dataclass(frozen=True)
class First(Domain[T]):
    """The first n of some items, n chosen before them: variable depth.

    Args:
        items: Literals, specs or templates, which may hold holes of their own.
        low: The least n.
    """

    items: tuple[Any, ...]
    low: int = 1
    key: ClassVar[str] = "first"
    many: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.items))
        if not _whole(self.low) or not 0 <= self.low <= len(self.items):
            raise SpecError("first needs 0 <= low <= items", self.low, f"0 to {len(self.items)}")

    def choices(self, prefix: Choices) -> Next | None:
        n = len(self.items) - self.low + 1
        return None if prefix else (n, (True,) * n)

    def value_of(self, choices: Choices) -> Value:
        return self.low + choices[0]

    def choices_of(self, value: Value) -> Choices:
        if not self.contains(value):
            raise SpecError("not a number of items", value, self.describe())
        return (value - self.low,)

    def contains(self, value: Value) -> bool:
        return _whole(value) and self.low <= value <= len(self.items)

    def neighbours(self, value: Value, rng: np.random.Generator) -> list[Value]:
        return [n for n in (value - 1, value + 1) if self.contains(n)]

    def features(self, value: Value) -> tuple[float, ...]:
        return (value / max(len(self.items), 1),)

    def weighted(self, weights: Mapping[str, int]) -> int:
        total, product = 0, 1
        for n in range(len(self.items) + 1):
            total += product if n >= self.low else 0
            product *= weights.get(str(n), 1)
        return total

    def branches(self) -> dict[str, Any]:
        return {str(i): item for i, item in enumerate(self.items)}

    def active(self, value: Value) -> Sequence[str]:
        return [str(i) for i in range(value)]

    def realized(self, value: Value, built: Mapping[str, Any]) -> Any:
        return tuple(built.get(str(i), self.items[i]) for i in range(value))

    def refined(self, validate: Callable[[str, Any], Any]) -> Domain[T]:
        return replace(self, items=tuple(validate(label, item) for label, item in self.branches().items()))

    def describe(self) -> str:
        return f"{self.low} to {len(self.items)} items"

    def to_data(self) -> dict[str, Any]:
        return {"first": list(self.items), "low": self.low}


@dataclass(frozen=True)
class Route(Domain[T]):
    """Paths over levels 0 to `levels` - 1 that move by at most one level a step.

    Args:
        levels: How many levels.
        length: How many steps, and so the length of a value.
        start: The level before the first step.

    Paper: Liu et al. 2019, arXiv 1901.02985, section 3.2.
    """

    levels: int
    length: int
    start: int = 0
    key: ClassVar[str] = "route"

    def __post_init__(self) -> None:
        if not all(map(_whole, (self.levels, self.length, self.start))) or self.levels < 1 or self.length < 1:
            raise SpecError("route needs whole numbers, levels >= 1 and length >= 1", self.to_data())
        if not 0 <= self.start < self.levels:
            raise SpecError("start is not a level", self.start, f"0 to {self.levels - 1}")

    def choices(self, prefix: Choices) -> Next | None:
        if len(prefix) == self.length:
            return None
        here = prefix[-1] if prefix else self.start
        return self.levels, tuple(abs(level - here) <= 1 for level in range(self.levels))

    def _state(self, prefix: Choices) -> Any:
        return prefix[-1:]

    def value_of(self, choices: Choices) -> Value:
        return tuple(choices)

    def choices_of(self, value: Value) -> Choices:
        if not self.contains(value):
            raise SpecError("not a route", value, self.describe())
        return tuple(value)

    def contains(self, value: Value) -> bool:
        if not isinstance(value, tuple) or len(value) != self.length or not all(map(_whole, value)):
            return False
        steps = zip((self.start, *value), value, strict=False)
        return all(0 <= there < self.levels and abs(there - here) <= 1 for here, there in steps)

    def neighbours(self, value: Value, rng: np.random.Generator) -> list[Value]:
        moved = []
        for i in range(self.length):
            for level in (value[i] - 1, value[i] + 1):
                other = (*value[:i], level, *value[i + 1 :])
                if self.contains(other):
                    moved.append(other)
        return moved

    def features(self, value: Value) -> tuple[float, ...]:
        return tuple(level / max(self.levels - 1, 1) for level in value)

    def refined(self, validate: Callable[[str, Any], Any]) -> Domain[T]:
        validate("lowest", tuple(max(self.start - i, 0) for i in range(1, self.length + 1)))
        validate("highest", tuple(min(self.start + i, self.levels - 1) for i in range(1, self.length + 1)))
        return self

    def describe(self) -> str:
        return f"{self.length} levels of 0 to {self.levels - 1}, each at most one from the one before"

    def to_data(self) -> dict[str, Any]:
        return {"route": self.levels, "length": self.length, "start": self.start}
