"""A template made ready for walking and filling: its decision points as a tree, and a function that fills it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.domains import Domain, Value
from search_spaces.errors import SpecError, join
from search_spaces.spec import Spec, children, first_hole, holes

Values = Mapping[str, Value]
Builder = Callable[[Values], Any]


@dataclass(frozen=True, slots=True)
class DecisionPoint:
    """One decision of a space.

    Args:
        path: Where it stands: field names, indexes and labels joined by `/`.
        domain: What can be chosen; it depends on the path only.
        role: The path with indexes as `*`, the same for decisions that mean the same.
    """

    path: str
    domain: Domain[Any]
    role: str


@dataclass(frozen=True, slots=True)
class Point:
    """A decision point with those that become active below each of its labels."""

    decision: DecisionPoint
    branches: Mapping[str, tuple[Point, ...]]


def compile_points(node: Any, path: str = "") -> tuple[Point, ...]:
    """Returns the decision points of a template as a tree, depth first in declaration order."""
    found = []
    for below, raw in holes(node):
        here = join(path, below)
        domain = _resolved(raw, here)
        branches = {}
        if domain.of is None:
            compiled = {label: compile_points(option, join(here, label)) for label, option in domain.branches().items()}
            branches = {label: points for label, points in compiled.items() if points}
        found.append(Point(DecisionPoint(here, domain, role_of(here)), branches))
    return tuple(found)


def role_of(path: str) -> str:
    """Returns a path with its indexes as `*`."""
    return "/".join("*" if part.isdigit() else part for part in path.split("/"))


def _resolved(domain: Domain[Any], path: str) -> Domain[Any]:
    if domain.of is None:
        return domain
    parts = path.split("/")
    for i in reversed(range(len(parts) - 1)):
        if parts[i] == domain.of and parts[i + 1].isdigit():
            resolved = domain.resolved(int(parts[i + 1]))
            step = resolved.choices(())
            if step is not None and not any(step[1]):
                rule = f"the first of the {domain.of} has none before it to choose from"
                raise SpecError(rule, domain.to_data(), "a subset, or a fixed value", path)
            return resolved
    raise SpecError("`of` names no tuple that this decision stands in", domain.of, "a name in the path", path)


def compile_template(node: Any, path: str = "") -> Builder:
    """Returns a function that fills the holes of a template from the values of a candidate.

    Args:
        node: A spec, mapping, tuple, domain or literal.
        path: Where the node stands.
    """
    if isinstance(node, Domain):
        return _domain_builder(node, path)
    if first_hole(node) is None:
        return lambda values: node
    parts = [(name, compile_template(item, join(path, name))) for name, item in children(node)]
    if isinstance(node, Spec):
        return _spec_builder(node, parts, path)
    if isinstance(node, Mapping):
        return lambda values: {name: build(values) for name, build in parts}
    return lambda values: tuple([build(values) for _, build in parts])


def _spec_builder(node: Spec, parts: list[tuple[str, Builder]], path: str) -> Builder:
    cls = type(node)
    fixed = {name: item for name, item in children(node) if first_hole(item) is None}
    order = list(cls.model_fields)
    filled = [(name, build) for name, build in parts if name not in fixed]
    checked = cls.check is not Spec.check

    def build(values: Values) -> Any:
        # Values were checked against the domain and the domain against the field, so nothing is validated again.
        fields = fixed | {name: make(values) for name, make in filled}
        made = cls.model_construct(**{name: fields[name] for name in order})
        if checked:
            try:
                made.check()
            except SpecError as error:
                raise error.at(path) from error
            except ValueError as error:
                raise SpecError(str(error), path=path) from error
        return made

    return build


def _domain_builder(node: Domain[Any], path: str) -> Builder:
    domain = _resolved(node, path)
    options = {} if domain.of is not None else domain.branches()
    below = {
        label: compile_template(option, join(path, label))
        for label, option in options.items()
        if first_hole(option) is not None
    }

    def build(values: Values) -> Any:
        value = values[path]
        built = {label: below[label](values) for label in domain.active(value) if label in below} if below else {}
        return domain.realized(value, built)

    return build
