"""Domains of numbers: whole ones, real ones, and the grid that makes a real one finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from search_spaces.domains.base import Choices, Domain, Next, T, Value
from search_spaces.errors import SpecError


@dataclass(frozen=True)
class Integer(Domain[T]):
    """Whole numbers from `low` to `high`, both included, in steps of `step`.

    Args:
        low: The least value.
        high: The greatest value.
        step: The distance between two values.
        log: Whether ratios matter rather than differences: samples and features follow the logarithm.
    """

    low: int
    high: int
    step: int = 1
    log: bool = False
    key: ClassVar[str] = "integer"

    def __post_init__(self) -> None:
        whole = all(isinstance(x, int) and not isinstance(x, bool) for x in (self.low, self.high, self.step))
        if not whole or self.low > self.high or self.step < 1 or (self.high - self.low) % self.step:
            raise SpecError(
                "integer needs whole numbers, low <= high, and whole steps between them",
                [self.low, self.high, self.step],
                "[low, high] with step dividing high - low",
            )
        if self.log and self.low < 1:
            raise SpecError("a logarithmic range starts at 1 or above", self.low, "low >= 1")

    def choices(self, prefix: Choices) -> Next | None:
        n = (self.high - self.low) // self.step + 1
        return None if prefix else (n, (True,) * n)

    def _completions(self, prefix: Choices) -> int:
        return 1 if prefix else (self.high - self.low) // self.step + 1

    def value_of(self, choices: Choices) -> Value:
        return self.low + self.step * choices[0]

    def choices_of(self, value: Value) -> Choices:
        if not self.contains(value):
            raise SpecError("not in the range", value, self.describe())
        return ((value - self.low) // self.step,)

    def contains(self, value: Value) -> bool:
        return type(value) is int and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def sample(self, rng: np.random.Generator) -> Value:
        if self.log:
            exact = math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
            nearest = self.low + self.step * round((exact - self.low) / self.step)
            return int(min(max(nearest, self.low), self.high))
        return self.low + self.step * int(rng.random() * ((self.high - self.low) // self.step + 1))

    def neighbours(self, value: Value, rng: np.random.Generator) -> list[Value]:
        return [v for v in (value - self.step, value + self.step) if self.contains(v)]

    def features(self, value: Value) -> tuple[float, ...]:
        return (_unit(value, self.low, self.high, self.log),)

    def refined(self, validate: Callable[[str, Any], Any]) -> Domain[T]:
        return replace(self, low=validate("low", self.low), high=validate("high", self.high))

    def describe(self) -> str:
        return f"{self.low} to {self.high}" + (f" in steps of {self.step}" if self.step > 1 else "")

    def to_data(self) -> dict[str, Any]:
        return {"integer": [self.low, self.high], "step": self.step, "log": self.log}


def _unit(value: float, low: float, high: float, log: bool) -> float:
    if low == high:
        return 0.0
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)


@dataclass(frozen=True)
class Float(Domain[T]):
    """Real numbers from `low` to `high`, both included.

    Args:
        low: The least value.
        high: The greatest value.
        log: Whether samples are uniform over the logarithm.
    """

    low: float
    high: float
    log: bool = False
    key: ClassVar[str] = "float"
    finite: ClassVar[bool] = False
    move: ClassVar[float] = 0.1  # standard deviation of a neighbour, in units of the range

    def __post_init__(self) -> None:
        try:
            low, high = float(self.low), float(self.high)
        except (TypeError, ValueError):
            raise SpecError("float needs two numbers", [self.low, self.high], "[low, high]") from None
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise SpecError("float needs finite numbers with low < high", [low, high], "[low, high]")
        if self.log and low <= 0:
            raise SpecError("a logarithmic range starts above 0", low, "low > 0")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    def cardinality(self) -> None:
        return None

    def values(self) -> Iterator[Value]:
        raise SpecError("a continuous domain cannot be listed", self.describe(), "a finite domain")

    def contains(self, value: Value) -> bool:
        return type(value) is float and self.low <= value <= self.high

    def at(self, unit: float) -> float:
        """Returns the value at `unit` in [0, 1] of the range, along the logarithm if `log`."""
        if self.log:
            value = math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + unit * (self.high - self.low)
        return min(max(value, self.low), self.high)

    def sample(self, rng: np.random.Generator) -> Value:
        return self.at(rng.random())

    def neighbours(self, value: Value, rng: np.random.Generator) -> list[Value]:
        unit = self.features(value)[0] + self.move * rng.standard_normal()
        moved = self.at(min(max(unit, 0.0), 1.0))
        return [] if moved == value else [moved]

    def features(self, value: Value) -> tuple[float, ...]:
        return (_unit(value, self.low, self.high, self.log),)

    def refined(self, validate: Callable[[str, Any], Any]) -> Domain[T]:
        return replace(self, low=validate("low", self.low), high=validate("high", self.high))

    def binned(self, bins: int | None) -> Domain[T]:
        return self if bins is None else Grid(self, bins)

    def describe(self) -> str:
        return f"{self.low:g} to {self.high:g}"

    def to_data(self) -> dict[str, Any]:
        return {"float": [self.low, self.high], "log": self.log}


@dataclass(frozen=True)
class Grid(Domain[T]):
    """The middles of `bins` equal parts of a continuous range: its finite view."""

    base: Float[T]
    bins: int
    key: ClassVar[str] = "grid"

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise SpecError("bins must be at least 1", self.bins, ">= 1")

    def choices(self, prefix: Choices) -> Next | None:
        return None if prefix else (self.bins, (True,) * self.bins)

    def value_of(self, choices: Choices) -> Value:
        return self.base.at((choices[0] + 0.5) / self.bins)

    def choices_of(self, value: Value) -> Choices:
        return (min(int(self.base.features(value)[0] * self.bins), self.bins - 1),)

    def contains(self, value: Value) -> bool:
        return self.base.contains(value)

    def neighbours(self, value: Value, rng: np.random.Generator) -> list[Value]:
        (index,) = self.choices_of(value)
        return [self.value_of((i,)) for i in (index - 1, index + 1) if 0 <= i < self.bins]

    def features(self, value: Value) -> tuple[float, ...]:
        return self.base.features(value)

    def describe(self) -> str:
        return f"{self.base.describe()} in {self.bins} bins"

    def to_data(self) -> dict[str, Any]:
        return self.base.to_data()
