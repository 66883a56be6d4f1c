"""Domains as plain data: how a search file writes them, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from search_spaces.domains.base import Domain
from search_spaces.domains.numbers import Float, Integer
from search_spaces.domains.options import Categorical, Subset
from search_spaces.domains.sequences import Composition, First, Route
from search_spaces.errors import SpecError, unknown

# The first key of each notation, and the keys that may stand beside it.
_BESIDE: dict[str, tuple[str, ...]] = {
    "float": ("log",),
    "integer": ("step", "log"),
    "categorical": ("of",),
    "subset": ("low", "high", "of"),
    "composition": ("parts", "minimum"),
    "first": ("low",),
    "route": ("length", "start"),
}


def is_domain(data: Any) -> bool:
    """Tells whether `data` is written as a domain: a mapping whose first key names one."""
    return isinstance(data, Mapping) and bool(data) and next(iter(data)) in _BESIDE


def from_data(data: Mapping[str, Any]) -> Domain[Any]:
    """Returns the domain that `data` writes; its options are left as they are.

    Args:
        data: A mapping for which `is_domain` holds.

    Raises:
        SpecError: A key or value is wrong.
    """
    key = next(iter(data))
    for name in data:
        if name != key and name not in _BESIDE[key]:
            raise unknown(f"key beside {key!r}", name, _BESIDE[key])
    first, beside = data[key], {name: value for name, value in data.items() if name != key}
    if key in ("float", "integer"):
        if not isinstance(first, list | tuple) or len(first) != 2:
            raise SpecError(f"{key} needs two numbers", first, "[low, high]")
        return Float(*first, **beside) if key == "float" else Integer(*first, **beside)
    if key in ("categorical", "subset"):
        if not isinstance(first, list | tuple | Mapping):
            raise SpecError(f"{key} needs options", first, "a list, or {name: option, ...}")
        return Categorical(first, **beside) if key == "categorical" else Subset(first, **beside)
    if key == "first":
        if not isinstance(first, list | tuple):
            raise SpecError("first needs a list of items", first, "[item, ...]")
        return First(tuple(first), **beside)
    return _counted(key, first, beside)


def _counted(key: str, first: Any, beside: dict[str, Any]) -> Domain[Any]:
    needed = "parts" if key == "composition" else "length"
    if needed not in beside:
        raise SpecError(f"{key} needs {needed!r} beside it", first, f"{{{key}: {first}, {needed}: n}}")
    return Composition(first, **beside) if key == "composition" else Route(first, **beside)


def to_data(domain: Domain[Any], convert: Callable[[Any], Any]) -> dict[str, Any]:
    """Returns `domain` as plain data, every option passed through `convert`; the inverse of `from_data`."""
    data = domain.to_data()
    options = data[domain.key] if domain.key in data else None
    if isinstance(options, Mapping):
        data[domain.key] = {name: convert(option) for name, option in options.items()}
    elif domain.key in ("categorical", "subset", "first"):
        data[domain.key] = [convert(option) for option in options or ()]
    return data
