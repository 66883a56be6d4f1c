"""Ranges worth searching: a domain in the annotation of a field, which default spaces search and lists print."""

from __future__ import annotations

from typing import Any, Literal, TypeVar, get_args, get_origin

from search_spaces.domains import Categorical, Domain
from search_spaces.spec import Searchable, Spec, hole

S = TypeVar("S", bound=Spec)


def ranges(spec: type[Spec]) -> dict[str, Domain[Any]]:
    """Returns the domain of every searchable field that has one: that of its annotation, or all words of a choice.

    A field says `Hole[Annotated[float, Field(ge=0), Float(0.0, 0.6)]]`: what it takes, and what is worth searching.
    A choice of words, or of yes and no, is worth searching whole.

    Args:
        spec: The class of a spec.
    """
    found = {}
    for name, field in spec.model_fields.items():
        if any(isinstance(item, Searchable) for item in field.metadata):
            said = [item for item in field.metadata if isinstance(item, Domain)]
            words = (False, True) if field.annotation is bool else get_args(field.annotation)
            if said:
                found[name] = said[-1]
            elif field.annotation is bool or get_origin(field.annotation) is Literal:
                found[name] = Categorical(words)
    return found


def varied(spec: type[S], **given: Any) -> S:
    """Returns a spec with a hole in every field that has a range.

    Args:
        spec: The class of the spec.
        **given: Fields that are set otherwise.
    """
    return spec(**{**{name: hole(domain) for name, domain in ranges(spec).items()}, **given})
