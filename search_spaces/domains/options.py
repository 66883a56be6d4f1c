"""Domains of labelled options: one of them, or some of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any, ClassVar

import numpy as np

from search_spaces.domains.base import Choices, Domain, Next, T, Value
from search_spaces.errors import SpecError

_LABEL = re.compile(r"[A-Za-z0-9_.+-]+")
_SCALARS = (type(None), bool, int, float, str)


def label_of(option: Any) -> str:
    """Returns the label of an option without a name: its `kind`, else the literal; empty when it has neither."""
    if option is None or isinstance(option, bool):
        return {None: "null", True: "true", False: "false"}[option]
    if isinstance(option, _SCALARS):
        return str(option)
    kind = option.get("kind") if isinstance(option, Mapping) else getattr(option, "kind", None)
    return "" if kind is None else str(kind)


@dataclass(frozen=True)
class _Options(Domain[T]):
    """Options with labels: what `Categorical` and `Subset` share."""

    options: Sequence[Any] | Mapping[str, Any] = ()
    of: str | None = field(default=None, kw_only=True)
    labels: tuple[str, ...] = field(init=False, repr=False, compare=False, default=())
    option_values: tuple[Value, ...] = field(init=False, repr=False, compare=False, default=())
    _items: tuple[Any, ...] = field(init=False, repr=False, compare=False, default=())
    _literal: bool = field(init=False, repr=False, compare=False, default=False)
    _index: dict[tuple[type, Value], int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        named = isinstance(self.options, Mapping)
        items = tuple(self.options.values()) if isinstance(self.options, Mapping) else tuple(self.options)
        labels = tuple(map(str, self.options)) if named else tuple(map(label_of, items))
        self._check(items, labels)
        values = tuple(
            item if not named and isinstance(item, _SCALARS) else label
            for item, label in zip(items, labels, strict=True)
        )
        derived = {
            "options": self.options if named else items,
            "labels": labels,
            "option_values": values,
            "_items": items,
            "_literal": values == items,
            "_index": {(type(value), value): i for i, value in enumerate(values)},
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def _check(self, items: tuple[Any, ...], labels: tuple[str, ...]) -> None:
        if self.of is None and not items:
            raise SpecError(f"{self.key} needs at least one option", list(items), "a list of options")
        for label in labels:
            if not _LABEL.fullmatch(label):
                raise SpecError("an option needs a label of letters, digits and _.+-", label, "named options")
        doubled = [label for label in labels if labels.count(label) > 1]
        if doubled:
            raise SpecError("two options have the same label: give them names", doubled[0], "{name: option, ...}")

    def _index_of(self, value: Value) -> int:
        if not self._has(value):
            raise SpecError("not an option", value, self.describe())
        return self._index[type(value), value]

    def _has(self, value: Value) -> bool:
        try:
            return (type(value), value) in self._index
        except TypeError:
            return False

    def branches(self) -> dict[str, Any]:
        return dict(zip(self.labels, self._items, strict=True))

    def describe(self) -> str:
        return f"{self.key} of " + ", ".join(self.labels)

    def resolved(self, index: int) -> Domain[T]:
        return replace(self, options=tuple(range(index)))

    def refined(self, validate: Callable[[str, Any], Any]) -> Domain[T]:
        if self.of is not None:
            return self
        items = tuple(validate(label, item) for label, item in self.branches().items())
        named = isinstance(self.options, Mapping)
        return replace(self, options=dict(zip(self.labels, items, strict=True)) if named else items)

    def _data(self) -> dict[str, Any]:
        if self.of is not None:
            return {self.key: [], "of": self.of}
        return {self.key: self.branches() if isinstance(self.options, Mapping) else list(self._items)}


@dataclass(frozen=True)
class Categorical(_Options[T]):
    """One of several options; an option may be a spec with holes of its own.

    Args:
        options: Literals, specs or templates; a mapping gives them names.
        of: Name of the tuple whose earlier items are the options, instead of `options`.
    """

    key: ClassVar[str] = "categorical"

    def choices(self, prefix: Choices) -> Next | None:
        n = len(self.labels)
        return None if prefix else (n, (True,) * n)

    def value_of(self, choices: Choices) -> Value:
        return self.option_values[choices[0]]

    def choices_of(self, value: Value) -> Choices:
        return (self._index_of(value),)

    def contains(self, value: Value) -> bool:
        return self._has(value)

    def sample(self, rng: np.random.Generator) -> Value:
        return self.option_values[int(rng.random() * len(self.labels))]

    def neighbours(self, value: Value, rng: np.random.Generator) -> list[Value]:
        index = self._index_of(value)
        return [other for i, other in enumerate(self.option_values) if i != index]

    def features(self, value: Value) -> tuple[float, ...]:
        index = self._index_of(value)
        return tuple(float(i == index) for i in range(len(self.labels)))

    def weighted(self, weights: Mapping[str, int]) -> int:
        return sum(weights.get(label, 1) for label in self.labels)

    def active(self, value: Value) -> Sequence[str]:
        return (self.labels[self._index_of(value)],)

    def realized(self, value: Value, built: Mapping[str, Any]) -> Any:
        if self._literal:
            return value
        index = self._index_of(value)
        label = self.labels[index]
        return built[label] if label in built else self._items[index]

    def to_data(self) -> dict[str, Any]:
        return self._data()


@dataclass(frozen=True)
class Subset(_Options[T]):
    """Between `low` and `high` of the options, in their order; chosen as one yes or no an option.

    Args:
        options: As for `Categorical`.
        low: The least number of chosen options.
        high: The greatest number, by default all.
        of: Name of the tuple whose earlier items are the options, instead of `options`.
    """

    low: int = 0
    high: int | None = None
    key: ClassVar[str] = "subset"
    many: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        n, high = len(self.labels), self._high
        if self.of is None and not 0 <= self.low <= high <= n:
            raise SpecError("needs 0 <= low <= high <= options", [self.low, high], f"0 to {n}")

    @property
    def _high(self) -> int:
        return len(self.labels) if self.high is None else self.high

    def choices(self, prefix: Choices) -> Next | None:
        left = len(self.labels) - len(prefix)
        if left == 0:
            return None
        chosen = sum(prefix)
        return 2, (chosen + left - 1 >= self.low, chosen < self._high)

    def _state(self, prefix: Choices) -> Any:
        return sum(prefix)

    def value_of(self, choices: Choices) -> Value:
        return tuple(value for value, chosen in zip(self.option_values, choices, strict=True) if chosen)

    def choices_of(self, value: Value) -> Choices:
        chosen = {self._index_of(item) for item in value}
        return tuple(int(i in chosen) for i in range(len(self.labels)))

    def contains(self, value: Value) -> bool:
        if not isinstance(value, tuple) or not all(map(self._has, value)):
            return False
        order = [self._index_of(item) for item in value]
        return order == sorted(set(order)) and self.low <= len(order) <= self._high

    def sample(self, rng: np.random.Generator) -> Value:
        n = len(self.labels)
        if self.low == 0 and self._high == n:
            raw = rng.bit_generator.random_raw
            words = [int(raw()) for _ in range(n // 64 + 1)]
            return tuple([v for i, v in enumerate(self.option_values) if words[i >> 6] >> (i & 63) & 1])
        return super().sample(rng)

    def neighbours(self, value: Value, rng: np.random.Generator) -> list[Value]:
        bits = list(self.choices_of(value))
        flips = []
        for i in range(len(bits)):
            flips.append((*bits[:i], 1 - bits[i], *bits[i + 1 :]))
        if self.low == self._high:
            flips = [
                tuple(1 - b if k in (i, j) else b for k, b in enumerate(bits))
                for i, j in permutations(range(len(bits)), 2)
                if bits[i] > bits[j]
            ]
        return [self.value_of(f) for f in flips if self.low <= sum(f) <= self._high]

    def features(self, value: Value) -> tuple[float, ...]:
        return tuple(map(float, self.choices_of(value)))

    def weighted(self, weights: Mapping[str, int]) -> int:
        sums = [1] + [0] * self._high
        for label in self.labels:
            for k in range(self._high, 0, -1):
                sums[k] += sums[k - 1] * weights.get(label, 1)
        return sum(sums[self.low :])

    def active(self, value: Value) -> Sequence[str]:
        return [self.labels[self._index_of(item)] for item in value]

    def realized(self, value: Value, built: Mapping[str, Any]) -> Any:
        if self._literal:
            return value
        picked = [self._index_of(item) for item in value]
        return tuple(built.get(self.labels[i], self._items[i]) for i in picked)

    def resolved(self, index: int) -> Domain[T]:
        high = index if self.high is None else min(self.high, index)
        return replace(self, options=tuple(range(index)), low=min(self.low, high), high=high)

    def to_data(self) -> dict[str, Any]:
        return self._data() | {"low": self.low} | ({} if self.high is None else {"high": self.high})
