"""What every domain answers: one finite view, and what samplers need to know of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from search_spaces.errors import SpecError

T = TypeVar("T")
Value = Any
Choices = tuple[int, ...]
Next = tuple[int, tuple[bool, ...]]


def same(a: Value, b: Value) -> bool:
    """Tells whether two values agree in type and value, so that 1, 1.0 and True differ."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and bool(a == b)


class Domain(Generic[T]):
    """A set of values, seen as a sequence of finite choices where it is finite.

    A subclass that is finite answers `choices` and `_state`; counting, sampling and listing follow from these two.
    """

    key: ClassVar[str]
    finite: ClassVar[bool] = True
    many: ClassVar[bool] = False  # whether the field holds a tuple of options rather than one of them
    of: str | None = None

    def choices(self, prefix: Choices) -> Next | None:
        """Returns the number of options of the next finite choice and which of them are allowed.

        Args:
            prefix: The choices made so far.

        Returns:
            `(n, mask)`, or None when the value is complete.
        """
        raise SpecError("a continuous domain has no finite choices", self.describe(), "a controller with `bins`")

    def value_of(self, choices: Choices) -> Value:
        """Returns the value that a complete sequence of choices stands for."""
        raise NotImplementedError

    def choices_of(self, value: Value) -> Choices:
        """Returns the sequence of choices that stands for `value`; the inverse of `value_of`."""
        raise SpecError("a continuous domain has no finite choices", self.describe(), "a controller with `bins`")

    def contains(self, value: Value) -> bool:
        """Tells whether `value` belongs to the domain, in type and value."""
        raise NotImplementedError

    def neighbours(self, value: Value, rng: np.random.Generator) -> list[Value]:
        """Returns the values one small move away from `value`, without `value` itself."""
        raise NotImplementedError

    def features(self, value: Value) -> tuple[float, ...]:
        """Returns `value` as numbers in [0, 1], always as many for one domain."""
        raise NotImplementedError

    def to_data(self) -> dict[str, Any]:
        """Returns the domain in the notation of search files; options are left as they are."""
        raise NotImplementedError

    def describe(self) -> str:
        """Returns a short text of what is allowed, for error messages."""
        raise NotImplementedError

    def sample(self, rng: np.random.Generator) -> Value:
        """Returns a value drawn uniformly over the domain's values."""
        prefix: Choices = ()
        while (step := self.choices(prefix)) is not None:
            allowed = [i for i, ok in enumerate(step[1]) if ok]
            if len(allowed) > 1:
                weights = np.array([float(self._completions((*prefix, i))) for i in allowed])
                pick = allowed[int(np.searchsorted(np.cumsum(weights), rng.random() * weights.sum(), side="right"))]
            else:
                pick = allowed[0]
            prefix = (*prefix, pick)
        return self.value_of(prefix)

    def cardinality(self) -> int | None:
        """Returns the number of values, or None for a continuous domain."""
        return self._completions(())

    def values(self) -> Iterator[Value]:
        """Yields every value in the order of its choices."""
        stack: list[Choices] = [()]
        while stack:
            prefix = stack.pop()
            step = self.choices(prefix)
            if step is None:
                yield self.value_of(prefix)
            else:
                stack.extend((*prefix, i) for i in reversed(range(step[0])) if step[1][i])

    def weighted(self, weights: Mapping[str, int]) -> int:
        """Returns the number of values when what is below each label can be filled in `weights[label]` ways."""
        return self._completions(())

    def branches(self) -> dict[str, Any]:
        """Returns label -> what becomes active below it; empty where values are plain."""
        return {}

    def active(self, value: Value) -> Sequence[str]:
        """Returns the labels whose branches `value` makes active, in declaration order."""
        return ()

    def realized(self, value: Value, built: Mapping[str, Any]) -> Any:
        """Returns the literal that a concrete spec holds for `value`.

        Args:
            value: A value of the domain.
            built: Label -> realized option, for the active labels that hold holes.
        """
        return value

    def refined(self, validate: Callable[[str, Any], Any]) -> Domain[T]:
        """Returns the domain with its extremes or options passed through `validate(label, option)`.

        Args:
            validate: The rules of the field that holds the domain; it returns the checked option or raises.
        """
        return self

    def binned(self, bins: int | None) -> Domain[T]:
        """Returns a finite view: the domain itself, or a grid of `bins` values of a continuous one."""
        return self

    def resolved(self, index: int) -> Domain[T]:
        """Returns the domain with its options filled in for the item at `index` of the tuple named by `of`."""
        return self

    def _state(self, prefix: Choices) -> Any:
        """Returns all that the rest of the sequence depends on, besides its length; counting is memoized on it."""
        return prefix

    def _completions(self, prefix: Choices) -> int:
        counts = self.__dict__.get("_counts")
        if counts is None:
            counts = {}
            object.__setattr__(self, "_counts", counts)
        state = (len(prefix), self._state(prefix))
        if state not in counts:
            step = self.choices(prefix)
            counts[state] = (
                1
                if step is None
                else sum(self._completions((*prefix, i)) for i, allowed in enumerate(step[1]) if allowed)
            )
        return int(counts[state])
