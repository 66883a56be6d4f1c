"""From the `space:` section of a search file to a template: presets are expanded, domains and specs are read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from search_spaces.domains import notation
from search_spaces.errors import SpecError, join, unknown
from search_spaces.spec import Spec, kinds, plain

Preset = Callable[..., Any]
P = TypeVar("P", bound=Preset)
_PRESETS: dict[str, Preset] = {}


def preset(name: str) -> Callable[[P], P]:
    """Registers a function that returns a template under `name`.

    Args:
        name: What a file writes after `preset:`; keys beside it that are parameters of the function are passed on.

    Raises:
        TypeError: The name is taken.
    """

    def register(make: P) -> P:
        other = _PRESETS.setdefault(name, make)
        if other is not make and (other.__module__, other.__qualname__) != (make.__module__, make.__qualname__):
            raise TypeError(f"two presets are called {name!r}: {other} and {make}")
        _PRESETS[name] = make
        return make

    return register


def presets() -> dict[str, Preset]:
    """Returns the registered presets by name, those of installed plug-ins included."""
    from search_spaces.build import Architecture
    from search_spaces.recipe import Trick

    kinds(Architecture)
    kinds(Trick)
    return dict(sorted(_PRESETS.items()))


def template(data: Any, base: type[Spec] | None = None) -> Any:
    """Returns the template that plain data describes.

    Args:
        data: Plain data with `{preset: NAME, ...}` and domains in their notation.
        base: The spec to read it as; without one, mappings stay mappings and lists become tuples.

    Raises:
        SpecError: Something in it breaks a rule; the path says where.
    """
    expanded = expand(data)
    return _parsed(expanded, "") if base is None else base.from_data(expanded)


def expand(data: Any, path: str = "") -> Any:
    """Returns `data` with every `{preset: NAME, key: value, ...}` replaced by what the preset returns.

    A key beside `preset` that is a parameter of the preset is passed to it; any other overrides a field of the result.
    """
    if isinstance(data, Mapping):
        if "preset" in data:
            return _expanded(data, path)
        return {name: expand(item, join(path, name)) for name, item in data.items()}
    if isinstance(data, list | tuple):
        return [expand(item, join(path, i)) for i, item in enumerate(data)]
    return data


def _expanded(data: Mapping[str, Any], path: str) -> Any:
    name, known = data["preset"], presets()
    if name not in known:
        raise unknown("preset", name, known, path)
    parameters = inspect.signature(known[name]).parameters
    arguments = {key: expand(value, join(path, key)) for key, value in data.items() if key in parameters}
    try:
        made = plain(known[name](**arguments))
    except SpecError as error:
        raise error.at(path) from None
    except (TypeError, ValueError, ValidationError) as error:
        raise SpecError(f"preset {name!r} refuses its arguments: {error}", arguments, path=path) from None
    others = {key: expand(value, join(path, key)) for key, value in data.items() if key not in {"preset", *parameters}}
    for key in others:
        if key not in made:
            raise unknown(f"key beside preset {name!r}", key, {*made, *parameters}, path)
    return made | others


def _parsed(data: Any, path: str) -> Any:
    if notation.is_domain(data):
        try:
            return notation.from_data(data).refined(lambda label, option: _parsed(option, join(path, label)))
        except SpecError as error:
            raise (error if error.path else error.at(path)) from None
    if isinstance(data, Mapping):
        return {str(name): _parsed(item, join(path, name)) for name, item in data.items()}
    if isinstance(data, list | tuple):
        return tuple(_parsed(item, join(path, i)) for i, item in enumerate(data))
    return data
