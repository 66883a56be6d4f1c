"""Turns pydantic's findings into one `SpecError`: the deepest one, in words of the file that the user wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from search_spaces.errors import SpecError, nearest

# Parts of a location that name a validator or a union member rather than something that the user wrote.
_INTERNAL = re.compile(
    r"(function-|tuple\[|list\[|dict\[|union|literal\[|constrained|nullable|is-instance|lax-or|json-or|tagged)"
    r".*|int|float|str|bool|none|bytes|chain\[.*"
)
CLASS_NAMES: set[str] = set()
"""Names of all specs, which pydantic puts into locations for the members of a union."""
_RANGE = "out of range"
_COMPARED = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
_COUNTED = {"too_short": ("min_length", "at least"), "too_long": ("max_length", "at most")}


def custom_error(error: SpecError) -> PydanticCustomError:
    """Returns a `SpecError` in the form that pydantic carries through its own validation."""
    context: dict[str, Any] = {"rule": error.rule, "allowed": error.allowed or ""}
    if error.has_got:
        context["got"] = error.got
    return PydanticCustomError("spec", "{rule}", context)


def unknown_kind(base: type, kind: Any, known: Iterable[str]) -> PydanticCustomError:
    """Returns the error for a kind that no subclass of `base` has."""
    names = list(known)
    close = nearest(str(kind), names)
    rule = f"unknown kind of {_plain_name(base)}" + (f", did you mean {close!r}?" if close else "")
    return PydanticCustomError("spec", "{rule}", {"rule": rule, "got": kind, "allowed": ", ".join(names)})


def missing_kind(base: type, known: Iterable[str]) -> PydanticCustomError:
    """Returns the error for a mapping that does not say which kind it is."""
    rule = f"the {_plain_name(base)} needs its kind"
    return PydanticCustomError("spec", "{rule}", {"rule": rule, "allowed": "kind: " + ", ".join(known)})


def _plain_name(base: type) -> str:
    return base.__name__.lower().removesuffix("config")


def explain(error: ValidationError) -> SpecError:
    """Returns the finding that is most likely the user's mistake."""
    return explain_all(error)[0]


def explain_all(error: ValidationError) -> list[SpecError]:
    """Returns every finding, the deepest first; those about a value not being null come last.

    Args:
        error: What pydantic raised; a union raises one finding a member.
    """
    found = sorted(error.errors(), key=lambda e: (e["type"] == "none_required", -len(_path(e))))
    return [_explained(details) for details in found]


def in_words_of(owner: type[BaseModel], error: ValidationError) -> ValidationError:
    """Returns the findings about a spec's own fields in our words, where the spec's class is still known.

    Args:
        owner: The spec that was being read.
        error: What pydantic raised for it.
    """
    lines = []
    for details in error.errors():
        kind: Any = details["type"]
        if kind == "spec":
            kind = PydanticCustomError("spec", "{rule}", details["ctx"] | _widened(details, owner))
        elif kind == "extra_forbidden" and len(details["loc"]) == 1:
            kind = _unknown_key(str(details["loc"][0]), owner)
            details["loc"] = ()
        else:
            kind = custom_error(_reworded(details, owner))
        lines.append(InitErrorDetails(type=kind, loc=details["loc"], input=details["input"]))
    return ValidationError.from_exception_data(owner.__name__, lines)


def located(owner: type[BaseModel], error: SpecError) -> ValidationError:
    """Returns the error of a rule that joins several fields, at its own path below the spec that has the rule."""
    place = tuple(error.path.split("/")) if error.path else ()
    return ValidationError.from_exception_data(
        owner.__name__, [InitErrorDetails(type=custom_error(error), loc=place, input=None)]
    )


def _path(details: ErrorDetails) -> list[str]:
    return [text for text in map(str, details["loc"]) if not (_INTERNAL.fullmatch(text) or text in CLASS_NAMES)]


def _explained(details: ErrorDetails) -> SpecError:
    context: dict[str, Any] = details.get("ctx", {})
    path = "/".join(_path(details))
    if details["type"] != "spec":
        return _reworded(details, None).at(path)
    rule, allowed = context["rule"], context["allowed"] or None
    if "got" in context:
        return SpecError(rule, context["got"], allowed, path)
    return SpecError(rule, allowed=allowed, path=path)


def _reworded(details: ErrorDetails, owner: type[BaseModel] | None) -> SpecError:
    kind, value = details["type"], details["input"]
    if kind == "missing":
        return SpecError("this key is required")
    if kind in ("model_type", "model_attributes_type", "dict_type", "mapping_type"):
        return SpecError("must be a mapping", value)
    if kind in _COUNTED:
        number = details["ctx"][_COUNTED[kind][0]]
        return SpecError(f"needs {_COUNTED[kind][1]} {number} item{'' if number == 1 else 's'}", value)
    if kind in _COMPARED:
        return SpecError(_RANGE, value, _range(details, owner))
    message = re.sub(r"^(Value error|Assertion failed), ", "", details["msg"])
    if kind == "value_error":
        return SpecError(message)
    return SpecError(re.sub(r"^Input should be", "must be", message), value)


def _unknown_key(key: str, owner: type[BaseModel]) -> PydanticCustomError:
    known = list(owner.model_fields)
    close = nearest(key, known)
    rule = f"unknown key {key!r}" + (f", did you mean {close!r}?" if close else "")
    return PydanticCustomError("spec", "{rule}", {"rule": rule, "allowed": ", ".join(known)})


def _widened(details: ErrorDetails, owner: type[BaseModel]) -> dict[str, str]:
    # An extreme of a domain was compared with one limit at a time; here the whole range of its field is known.
    if details["ctx"]["rule"] != _RANGE or len(_path(details)) != 2:
        return {}
    text = _worded(_field_limits(owner, details))
    return {"allowed": text} if text else {}


def _range(details: ErrorDetails, owner: type[BaseModel] | None) -> str:
    key = _COMPARED[details["type"]]
    return _worded({key: details.get("ctx", {}).get(key), **_field_limits(owner, details)})


def _field_limits(owner: type[BaseModel] | None, details: ErrorDetails) -> Mapping[str, Any]:
    name = str(details["loc"][0]) if details["loc"] else ""
    if owner is None or name not in owner.model_fields:
        return {}
    return {**_limits(owner.model_fields[name]), **_limits(owner.model_fields[name].annotation)}


def _worded(limits: Mapping[str, Any]) -> str:
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    return " and ".join(f"{word} {limits[key]:g}" for key, word in words.items() if limits.get(key) is not None)


def _limits(source: Any) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for item in (*getattr(source, "metadata", ()), *getattr(source, "__metadata__", ())):
        found |= {key: getattr(item, key) for key in ("gt", "ge", "lt", "le") if getattr(item, key, None) is not None}
        found |= _limits(item)
    for inner in getattr(source, "__args__", ()):
        found |= _limits(inner)
    return found
