"""Architectures that can be relaxed: one supernet holds every choice at once, and logits weigh them.

Importing this file does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from search_spaces.build import Architecture, Shape
from search_spaces.domains import Value
from search_spaces.errors import SpecError, join
from search_spaces.spec import children

if TYPE_CHECKING:
    from torch import nn

Layout = Mapping[str, tuple[int, int]]
"""Name -> shape of the logits: places where something is chosen, options of each."""
Logits = Mapping[str, NDArray[np.float64]]
"""Name -> logits, of the shape that the layout says."""


class Relaxable(Architecture):
    """An architecture whose template can be built as one supernet. A subclass writes `_relax`, `layout` and `decode`.

    The supernet keeps its logits as buffers, `logits_NAME`, so that they are no weights of the network and yet travel
    with its `state_dict`. It mixes by their softmax, unless `choose` was given other weights.
    """

    @final
    def relax(self, input_shape: Sequence[int], outputs: int) -> nn.Module:
        """Returns the supernet of a template with holes, its weights drawn from torch's global generator.

        Args:
            input_shape: Shape of one input without the batch, (C, H, W) for images.
            outputs: Number of classes.

        Raises:
            SpecError: The input shape or the number of outputs is impossible.
        """
        return self._relax(self._checked_sizes(input_shape, outputs), outputs)

    def layout(self) -> Layout:
        """Returns name and shape of the logits."""
        raise NotImplementedError

    def decode(self, logits: Logits) -> dict[str, Value]:
        """Returns the choices that logits stand for: path below this spec -> value.

        Args:
            logits: As `layout` says.
        """
        raise NotImplementedError

    def _relax(self, input_shape: Shape, outputs: int) -> nn.Module:
        raise NotImplementedError


def relaxable(template: Any) -> tuple[str, Relaxable]:
    """Returns path and spec of the one architecture of a template that can be relaxed.

    Args:
        template: A spec, mapping or tuple with holes.

    Raises:
        SpecError: There is none, or more than one.
    """
    found = list(_relaxable(template, ""))
    if len(found) != 1:
        got = ", ".join(path or "." for path, _ in found) or "none"
        raise SpecError("a supernet needs one architecture that can be relaxed", got, "one, such as {preset: darts}")
    return found[0]


def _relaxable(node: Any, path: str) -> list[tuple[str, Relaxable]]:
    if isinstance(node, Relaxable):
        return [(path, node)]
    return [found for name, item in children(node) for found in _relaxable(item, join(path, name))]


def decoded(template: Any, logits: Logits) -> dict[str, Value]:
    """Returns the choices that logits stand for, by their path in the template.

    Args:
        template: Has one architecture that can be relaxed.
        logits: As its layout says.
    """
    path, architecture = relaxable(template)
    return {join(path, name): value for name, value in architecture.decode(logits).items()}
