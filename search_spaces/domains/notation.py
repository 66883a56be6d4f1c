"""Domains as plain data: how a search file writes them, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from search_spaces.domains.base import Domain
from search_spaces.domains.numbers import Float, Integer
from search_spaces.domains.options import Categorical, Subset
from search_spaces.domains.sequences import Composition, First, Route
from search_spaces.errors import SpecError, nearest, unknown

# The name of each notation, the keys that may stand beside it, and what its own value looks like.
_BESIDE: dict[str, tuple[str, ...]] = {
    "float": ("log",),
    "integer": ("step", "log"),
    "categorical": ("of",),
    "subset": ("low", "high", "of"),
    "composition": ("parts", "minimum"),
    "first": ("low",),
    "route": ("length", "start"),
}
_FORMS: dict[str, tuple[type, ...]] = {
    "float": (list, tuple),
    "integer": (list, tuple),
    "categorical": (list, tuple, Mapping),
    "subset": (list, tuple, Mapping),
    "composition": (int,),
    "first": (list, tuple),
    "route": (int,),
}


def is_domain(data: Any) -> bool:
    """Tells whether `data` is written as a domain: a mapping of one domain's name and keys that may stand beside it."""
    if not isinstance(data, Mapping):
        return False
    names = [name for name in data if name in _BESIDE]
    return len(names) == 1 and all(name in (names[0], *_BESIDE[names[0]]) for name in data)


def near_miss(data: Any) -> SpecError | None:
    """Returns what keeps a mapping that looks like a domain from being one; None: it does not, or is one.

    Args:
        data: What a file has where a domain may stand; with a `kind` it is a spec, whatever its fields are called.
    """
    if not isinstance(data, Mapping) or is_domain(data) or "kind" in data:
        return None
    for name in data:
        if name in _BESIDE and isinstance(data[name], _FORMS[name]):
            other = next(other for other in data if other != name and other not in _BESIDE[name])
            return unknown(f"key beside {name!r}", other, _BESIDE[name])
    for name in data:
        beside = {other for other in data if other != name}
        close = nearest(str(name), [key for key, allowed in _BESIDE.items() if beside and beside <= set(allowed)])
        if close is not None and isinstance(data[name], _FORMS[close]):
            return unknown("domain", name, _BESIDE)
    return None


def from_data(data: Mapping[str, Any]) -> Domain[Any]:
    """Returns the domain that `data` writes; its options are left as they are.

    Args:
        data: A mapping for which `is_domain` holds.

    Raises:
        SpecError: A value is wrong.
    """
    key = next(name for name in data if name in _BESIDE)
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
