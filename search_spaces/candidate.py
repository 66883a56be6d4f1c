"""One point of a space: the chosen value at every active path."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from search_spaces.domains import Value, same


def _tupled(value: Any) -> Value:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


class Candidate(Mapping[str, Value]):
    """An immutable map from path to value, equal to another by paths and by type and value.

    Args:
        values: Path -> literal, label, or tuple of these, for the active points in the order of the walk.
    """

    __slots__ = ("_id", "_values")

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = dict(values)
        self._id: str | None = None

    def __getitem__(self, path: str) -> Value:
        return self._values[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Candidate) or self._values.keys() != other._values.keys():
            return False
        return all(same(value, other._values[path]) for path, value in self._values.items())

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Candidate({self._values!r})"

    @property
    def id(self) -> str:
        """Short hash of the canonical JSON: 12 hexadecimal digits."""
        if self._id is None:
            self._id = hashlib.sha256(self.to_json().encode()).hexdigest()[:12]
        return self._id

    def to_json(self) -> str:
        """Returns the canonical JSON: paths sorted, no spaces."""
        return json.dumps(self._values, sort_keys=True, separators=(",", ":"), allow_nan=False)

    def to_data(self) -> dict[str, Any]:
        """Returns path -> value as plain data; JSON turns the tuples into lists and `from_data` back."""
        return dict(self._values)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Candidate:
        """Returns the candidate of plain data, lists taken as tuples."""
        return cls({path: _tupled(value) for path, value in data.items()})

    @classmethod
    def from_json(cls, text: str) -> Candidate:
        """Returns the candidate that a JSON text describes."""
        return cls.from_data(json.loads(text))
