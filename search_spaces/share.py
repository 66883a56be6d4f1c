"""Architectures of a space that share weights: one network holds those of all, a choice uses some of them.

Importing this file does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self, final

from search_spaces.build import Architecture, Shape
from search_spaces.domains import Domain
from search_spaces.errors import SpecError
from search_spaces.spec import specs

if TYPE_CHECKING:
    from search_spaces.networks.shared import SharedNetwork


class Place(NamedTuple):
    """Where a weight of one network lies among the shared ones.

    Args:
        key: Name of the shared weight; those of all networks with the same key are one.
        slots: Which parts of its second dimension, of the inputs that is, the network uses, in this order; None: all.
        total: Parts that it has.
    """

    key: str
    slots: tuple[int, ...] | None = None
    total: int = 1


Places = Callable[[str], Place]
"""Name in the `state_dict` of a network -> place of the weight."""


class Shareable(Architecture):
    """An architecture whose template can be built as one network of shared weights. A subclass writes the other two."""

    def cover(self) -> Iterator[Self]:
        """Yields architectures of a template with holes that use, together, every weight there is.

        The first that has a weight with slots uses all of them.
        """
        raise NotImplementedError

    def places(self, input_shape: Shape) -> Places:
        """Returns where the weights of an architecture without holes lie."""
        raise NotImplementedError

    @final
    def share(self, input_shape: Sequence[int], outputs: int) -> SharedNetwork:
        """Returns the network of shared weights, which are drawn from torch's global generator.

        Args:
            input_shape: Shape of one input without the batch, (C, H, W) for images.
            outputs: Number of classes.
        """
        from search_spaces.networks.shared import SharedNetwork

        return SharedNetwork(self, tuple(input_shape), outputs)


def options(field: Any) -> tuple[Any, ...]:
    """Returns the values that a field may take: those of its domain, or the one it has."""
    return tuple(field.values()) if isinstance(field, Domain) else (field,)


def shareable(template: Any) -> tuple[str, Shareable]:
    """Returns path and spec of the one architecture of a template whose choices can share weights.

    Args:
        template: A spec, mapping or tuple with holes.

    Raises:
        SpecError: There is none, or more than one.
    """
    found = [(path, spec) for path, spec in specs(template) if isinstance(spec, Shareable)]
    if len(found) != 1:
        got = ", ".join(path or "." for path, _ in found) or "none"
        raise SpecError("weights are shared within one architecture", got, "one, such as {preset: enas_macro}")
    return found[0]
