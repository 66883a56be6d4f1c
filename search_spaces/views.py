"""Other ways to write a candidate, each with its inverse: tokens, a flat map, a row with its activity mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces.candidate import Candidate
from search_spaces.domains import Choices, Value
from search_spaces.errors import SpecError
from search_spaces.space import DecisionPoint, Space


def to_tokens(space: Space, candidate: Candidate, bins: int | None = None) -> tuple[int, ...]:
    """Returns the finite choices of all active decisions, one after the other.

    Args:
        space: The candidate's space.
        candidate: What to write.
        bins: Number of bins for continuous decisions, whose values come back as the middles of their bins.
    """
    tokens: list[int] = []

    def note(point: DecisionPoint) -> Value:
        tokens.extend(point.domain.binned(bins).choices_of(candidate[point.path]))
        return candidate[point.path]

    space.replay(note)
    return tuple(tokens)


def from_tokens(space: Space, tokens: Sequence[int], bins: int | None = None) -> Candidate:
    """Returns the candidate that `tokens` write; the inverse of `to_tokens`.

    Raises:
        SpecError: There are too few or too many tokens, or one is not allowed where it stands.
    """
    rest = iter(tokens)

    def choose(point: DecisionPoint) -> Value:
        domain, prefix = point.domain.binned(bins), Choices()
        while (step := domain.choices(prefix)) is not None:
            token = next(rest, None)
            if token is None:
                raise SpecError("too few tokens", len(tokens), path=point.path)
            if not (0 <= token < step[0] and step[1][token]):
                allowed = ", ".join(str(i) for i, ok in enumerate(step[1]) if ok)
                raise SpecError("a token is not allowed here", token, allowed, point.path)
            prefix = (*prefix, int(token))
        return domain.value_of(prefix)

    made = space.replay(choose)
    left = len(list(rest))
    if left:
        raise SpecError("too many tokens", len(tokens), str(len(tokens) - left))
    return made


def to_flat(space: Space, candidate: Candidate) -> dict[str, Any]:
    """Returns path -> value as plain data that JSON can hold: tuples as lists."""
    return {path: list(value) if isinstance(value, tuple) else value for path, value in candidate.items()}


def from_flat(space: Space, flat: Mapping[str, Any]) -> Candidate:
    """Returns the candidate of a flat map; the inverse of `to_flat`."""
    return space.candidate(flat)


def to_row(space: Space, candidate: Candidate) -> tuple[tuple[Value, ...], tuple[bool, ...]]:
    """Returns the values in the order of `space.points()` and which of them are active; inactive ones are None."""
    paths = [point.path for point in space.points()]
    return tuple(candidate.get(path) for path in paths), tuple(path in candidate for path in paths)


def from_row(space: Space, values: Sequence[Value], active: Sequence[bool]) -> Candidate:
    """Returns the candidate of a row; the inverse of `to_row`."""
    paths = [point.path for point in space.points()]
    if not len(values) == len(active) == len(paths):
        raise SpecError("a row needs a value and a mask for every point", [len(values), len(active)], str(len(paths)))
    return space.candidate({path: v for path, v, on in zip(paths, values, active, strict=True) if on})
