"""Specs: frozen records of everything that a user can write down, with holes where a search may choose."""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Annotated, Any, ClassVar, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError, model_validator
from pydantic_core import CoreSchema, InitErrorDetails, core_schema

from search_spaces import messages
from search_spaces.domains import Domain, notation
from search_spaces.errors import SpecError, join

__all__ = ["CLASS", "Hole", "Searchable", "Spec", "SpecError", "first_hole", "hole", "holes", "kinds", "plain", "specs"]

T = TypeVar("T")
_REGISTRY: dict[type[Spec], dict[str, type[Spec]]] = {}
CLASS = "class"
"""The key of plain data that names the class of a spec where nothing else does."""


class Searchable:
    """Marks a field that takes a value of its type, or a `Domain` whose extremes pass the field's own rules."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Returns the field's schema, wrapped so that a domain is let through once its extremes are checked."""
        return core_schema.no_info_wrap_validator_function(_validate_hole, handler(source))


Hole = Annotated[T, Searchable()]


def hole(domain: Domain[T]) -> T:
    """Returns `domain` typed as one of its values, so that the type checker accepts it in a spec.

    Args:
        domain: What the search may choose from.
    """
    return cast(T, domain)


def _validate_hole(value: Any, handler: Callable[[Any], Any]) -> Any:
    if notation.is_domain(value):
        value = _as_custom_error(lambda: notation.from_data(value))
    if isinstance(value, Domain):
        domain = value
        return _as_custom_error(lambda: domain.refined(functools.partial(_validate_option, handler, domain.many)))
    try:
        return handler(value)
    except ValidationError:
        if (miss := notation.near_miss(value)) is not None:
            raise messages.custom_error(miss) from None
        raise


def _validate_option(handler: Callable[[Any], Any], many: bool, label: str, option: Any) -> Any:
    # A field that holds a tuple checks each option as a tuple of one, whose index is no part of the path.
    try:
        return handler((option,))[0] if many else handler(option)
    except ValidationError as error:
        lines = [
            InitErrorDetails(
                type=messages.custom_error(found),
                loc=(label, *filter(None, found.path.split("/")[1 if many else 0 :])),
                input=option,
            )
            for found in messages.explain_all(error)
        ]
        raise ValidationError.from_exception_data("option", lines) from None


def _as_custom_error(make: Callable[[], T]) -> T:
    try:
        return make()
    except ValidationError:
        raise
    except SpecError as error:
        raise messages.custom_error(error) from None


class Spec(BaseModel):
    """A frozen record that can be written as JSON or YAML and read back.

    A concrete spec declares `kind: Literal["name"] = "name"` and is found by that name among the subclasses of the
    base that a field declares; a base has no `kind`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)

    home: ClassVar[str | None] = None
    """Package whose modules hold the built-in kinds of this base."""
    group: ClassVar[str | None] = None
    """Entry-point group whose members add kinds to this base."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Registers a concrete subclass, by its kind, under every base that it has."""
        super().__pydantic_init_subclass__(**kwargs)
        messages.CLASS_NAMES.add(cls.__name__)
        field = cls.model_fields.get("kind")
        if field is None or not isinstance(field.default, str):
            return
        for base in cls.__mro__[1:]:
            if issubclass(base, Spec) and base is not Spec and "kind" not in base.model_fields:
                known = _REGISTRY.setdefault(base, {})
                other = known.setdefault(field.default, cls)
                if other is not cls and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
                    raise TypeError(f"two kinds of {base.__name__} are called {field.default!r}: {other} and {cls}")
                known[field.default] = cls

    @model_validator(mode="wrap")
    @classmethod
    def _dispatch(cls, data: Any, handler: Callable[[Any], Self]) -> Self:
        if isinstance(data, str) and "kind" not in cls.model_fields and kinds(cls):
            data = {"kind": data}  # a bare name stands for the kind with its defaults
        if isinstance(data, Mapping) and "kind" not in cls.model_fields:
            known = kinds(cls)
            if "kind" in data:
                if data["kind"] not in known:
                    raise messages.unknown_kind(cls, data["kind"], known)
                return cast(Self, known[data["kind"]].model_validate(data))
            if known:
                raise messages.missing_kind(cls, known)
        try:
            made = handler(data)
        except ValidationError as error:
            raise messages.in_words_of(cls, error) from None
        if type(made).check is not Spec.check and first_hole(made) is None:
            try:
                made.check()
            except SpecError as error:
                raise messages.located(cls, error) from None
        return made

    def check(self) -> None:
        """Checks rules that join several fields; called on specs without holes.

        Raises:
            ValueError: A rule is broken; a `SpecError` says at which path below this spec.
        """

    def canonical(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the values that stand for all choices equivalent to `values`; here the identity.

        Args:
            values: Path below this spec -> chosen value.
        """
        return values

    def path_features(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns what the chosen architecture computes, as texts for a predictor to compare; here nothing.

        Args:
            values: Path below this spec -> chosen value.

        Returns:
            A multiset, sorted: the operations on each path from input to output, joined by `>`, without those that have
            no effect and those that change nothing, so that equal architectures have equal features.
        """
        return ()

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """Returns the spec that plain data describes.

        Args:
            data: A mapping, or an instance, which is checked again.

        Raises:
            SpecError: Something in it breaks a rule; the path says where.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise messages.explain(error) from None

    def to_data(self) -> dict[str, Any]:
        """Returns the spec as plain data, with every default written out."""
        return {name: plain(getattr(self, name)) for name in type(self).model_fields}

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Returns the spec that a JSON text describes."""
        return cls.from_data(json.loads(text))

    def to_json(self, indent: int | None = None) -> str:
        """Returns the spec as JSON."""
        return json.dumps(self.to_data(), indent=indent, allow_nan=False)

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Returns the spec that a YAML 1.2 text describes."""
        from ruamel.yaml import YAML

        return cls.from_data(YAML(typ="safe", pure=True).load(text))

    def to_yaml(self) -> str:
        """Returns the spec as YAML 1.2."""
        from io import StringIO

        from ruamel.yaml import YAML

        yaml, stream = YAML(typ="safe", pure=True), StringIO()
        yaml.default_flow_style = False
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # keeps the declared order
        yaml.dump(self.to_data(), stream)
        return stream.getvalue()


def plain(node: Any, named: Callable[[type[Spec]], str] | None = None) -> Any:
    """Returns a template as plain data: specs and domains as mappings, tuples as lists.

    Args:
        node: The template, or a part of it.
        named: How to name the class of a spec that no field of another spec declares, under the key `class`; None:
            the data do not say it.
    """
    if isinstance(node, Spec):
        return node.to_data() if named is None else {CLASS: named(type(node)), **node.to_data()}
    if isinstance(node, Domain):
        return notation.to_data(node, lambda option: plain(option, named))
    if isinstance(node, Mapping):
        return {name: plain(item, named) for name, item in node.items()}
    if isinstance(node, list | tuple):
        return [plain(item, named) for item in node]
    return node


def children(node: Any) -> Iterator[tuple[str, Any]]:
    """Yields the named parts of a spec, mapping or tuple in declaration order."""
    if isinstance(node, Spec):
        yield from ((name, getattr(node, name)) for name in type(node).model_fields)
    elif isinstance(node, Mapping):
        yield from ((str(name), item) for name, item in node.items())
    elif isinstance(node, list | tuple):
        yield from ((str(i), item) for i, item in enumerate(node))


def holes(node: Any, path: str = "") -> Iterator[tuple[str, Domain[Any]]]:
    """Yields path and domain of every hole of a template, without looking into the domains' options."""
    if isinstance(node, Domain):
        yield path, node
    else:
        for name, item in children(node):
            yield from holes(item, join(path, name))


def specs(node: Any, path: str = "") -> Iterator[tuple[str, Spec]]:
    """Yields path and spec of every spec of a template, itself and the options of its domains included."""
    if isinstance(node, Spec):
        yield path, node
    parts = node.branches().items() if isinstance(node, Domain) else children(node)
    for name, part in parts:
        yield from specs(part, join(path, name))


def first_hole(node: Any) -> str | None:
    """Returns the path of the first unfilled hole of a template, or None when it is concrete."""
    return next((path or "." for path, _ in holes(node)), None)


@functools.cache
def _load(home: str | None, group: str | None) -> None:
    if home is not None:
        package = importlib.import_module(home)
        for module in pkgutil.walk_packages(package.__path__, f"{home}."):
            importlib.import_module(module.name)
    if group is not None:
        for entry in entry_points(group=group):
            entry.load()


def kinds(base: type[Spec]) -> dict[str, type[Spec]]:
    """Returns the concrete specs of a base by kind: built in, registered since, and those of installed plug-ins."""
    for ancestor in base.__mro__:
        if issubclass(ancestor, Spec):
            _load(ancestor.__dict__.get("home"), ancestor.__dict__.get("group"))
    return dict(sorted(_REGISTRY.get(base, {}).items()))
