"""From the `space:` section of a search file to a template: presets are expanded, domains and specs are read."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from search_spaces import messages
from search_spaces.domains import Categorical, notation
from search_spaces.errors import SpecError, join, unknown
from search_spaces.spec import CLASS, Spec, hole, kinds, plain

Preset = Callable[..., Any]
_SIMPLE: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "int": ((int,), "an integer"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a text"),
}
"""What a parameter of a simple annotation takes, and its name in messages."""
P = TypeVar("P", bound=Preset)
_PRESETS: dict[str, Preset] = {}
_CLASS_NAME = re.compile(r"[\w.]+:[\w.<>]+")


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
        data: Plain data with `{preset: NAME, ...}`, domains in their notation, and specs of a class of one's own as
            `{class: "package.module:Class", ...}`.
        base: The spec to read it as, unless it names the class of one below that; without one, mappings stay mappings
            and lists become tuples.

    Raises:
        SpecError: Something in it breaks a rule; the path says where.
    """
    expanded = expand(data)
    if base is None:
        return _parsed(expanded, "")
    if (named := _named(expanded)) is None:
        return base.from_data(expanded)
    if not issubclass(named, base):
        raise SpecError(f"this must be a {base.__name__}", expanded[CLASS], path=CLASS)
    return named.from_data(_fields(expanded))


def written(template: Any) -> Any:
    """Returns a template as plain data, from which the function `template` makes it again.

    Args:
        template: A spec, mapping or tuple with holes.
    """
    return plain(template, lambda cls: f"{cls.__module__}:{cls.__qualname__}")


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
    for key, value in arguments.items():
        _check_simple(parameters[key], value, join(path, key))
    try:
        made = plain(known[name](**arguments))
    except SpecError as error:
        raise error.at(path) from None
    except ValidationError as error:
        found = messages.explain(error)
        rule = f"preset {name!r} refuses its arguments: {found.rule}"
        raise SpecError(rule, found.got, found.allowed, join(path, found.path)) from None
    except (TypeError, ValueError) as error:
        raise SpecError(f"preset {name!r} refuses its arguments: {error}", arguments, path=path) from None
    others = {key: expand(value, join(path, key)) for key, value in data.items() if key not in {"preset", *parameters}}
    for key in others:
        if key not in made:
            raise unknown(f"key beside preset {name!r}", key, {*made, *parameters}, path)
    return made | others


def _check_simple(parameter: inspect.Parameter, value: Any, path: str) -> None:
    # The annotation is a class, or its name where the module postpones annotations.
    simple = _SIMPLE.get(getattr(parameter.annotation, "__name__", parameter.annotation))
    if simple is None or isinstance(value, Mapping) or value is parameter.default:  # a mapping may be a domain
        return
    types, name = simple
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise SpecError(f"must be {name}", value, path=path)


def _parsed(data: Any, path: str) -> Any:
    if notation.is_domain(data):
        try:
            return notation.from_data(data).refined(lambda label, option: _parsed(option, join(path, label)))
        except SpecError as error:
            raise (error if error.path else error.at(path)) from None
    if isinstance(data, Mapping):
        return _parsed_mapping(data, path)
    if isinstance(data, list | tuple):
        return tuple(_parsed(item, join(path, i)) for i, item in enumerate(data))
    return data


def choice(base: type[Spec], options: Sequence[Any]) -> Any:
    """Returns the one option, or a hole with all of them, as the field of a preset's result.

    Args:
        base: What the options are kinds of.
        options: Names of kinds, specs or their data; None for nothing.

    Raises:
        SpecError: A name is unknown, or a spec breaks a rule.
    """
    specs = tuple(None if option is None else base.from_data(option) for option in options)
    return specs[0] if len(specs) == 1 else hole(Categorical(specs))


def _parsed_mapping(data: Mapping[str, Any], path: str) -> Any:
    try:
        if (named := _named(data)) is not None:
            return named.from_data(_fields(data))
    except SpecError as error:
        raise error.at(path) from None
    if (miss := notation.near_miss(data)) is not None:
        raise miss.at(path)
    return {str(name): _parsed(item, join(path, name)) for name, item in data.items()}


def _named(data: Any) -> type[Spec] | None:
    """The class that a mapping says its spec is of, or None."""
    where = data.get(CLASS) if isinstance(data, Mapping) else None
    if not (isinstance(where, str) and _CLASS_NAME.fullmatch(where)):
        return None
    module, _, name = where.partition(":")
    try:
        found: Any = functools.reduce(getattr, name.split("."), importlib.import_module(module))
    except Exception as error:  # noqa: BLE001 - a module may raise anything while it is imported
        rule = f"the class of this spec cannot be imported ({type(error).__name__}: {error})"
        raise SpecError(rule, where, "package.module:Class", CLASS) from error
    if not (isinstance(found, type) and issubclass(found, Spec)):
        raise SpecError("this must be a class below Spec", where, path=CLASS)
    return found


def _fields(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in data.items() if name != CLASS}
