"""Finds the implementation of a trick by the class of its spec.

What an implementation is called with, after its spec, depends on its family:

| family | called with | returns |
|---|---|---|
| `Optimizer` | network | `torch.optim.Optimizer` |
| `Schedule` | share of steps taken since the warmup, in [0, 1) | factor on the rate |
| `Warmup` | epochs taken, a fraction too | factor on the rate, or None once it is over |
| `ClipGradients` | parameters | None |
| `Augmentation`, `Mix` | `Batch` | `Batch` |
| `LabelSmoothing` | (N, K) targets | (N, K) targets |
| `Dropout`, `DropPath` | network, which it changes in place | None |
| `Ema` | network | an object with `update`, `applied`, `state_dict`, `load_state_dict` |
| `EarlyStopping` | nothing | an object with `update`, `state_dict`, `load_state_dict` |
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from search_spaces.recipe import Trick
from search_spaces.spec import kinds

Implementation = TypeVar("Implementation", bound=Callable[..., Any])

_MODULES = (
    "trainers.ema",
    "trainers.optim",
    "trainers.schedules",
    "trainers.tricks.augment",
    "trainers.tricks.loss",
    "trainers.tricks.mix",
    "trainers.tricks.regularization",
    "trainers.tricks.stopping",
)
_TABLE: dict[type[Trick], Callable[..., Any]] = {}


def implements(spec: type[Trick]) -> Callable[[Implementation], Implementation]:
    """Registers a function or class as the implementation of a spec.

    Args:
        spec: The class of the spec.

    Raises:
        TypeError: It has one already.
    """

    def register(implementation: Implementation) -> Implementation:
        if spec in _TABLE:
            raise TypeError(f"{spec.__name__} has two implementations: {_TABLE[spec]} and {implementation}")
        _TABLE[spec] = implementation
        return implementation

    return register


def implementation(spec: Trick) -> Callable[..., Any]:
    """Returns the implementation of a trick, its spec already given.

    Raises:
        LookupError: There is none.
    """
    found = implemented().get(type(spec))
    if found is None:
        name = type(spec).__name__
        raise LookupError(f"{name} has no implementation; write one under @implements({name})")
    return functools.partial(found, spec)


def implemented() -> dict[type[Trick], Callable[..., Any]]:
    """Returns every implementation by the class of its spec, those of installed plug-ins included."""
    _load()
    return dict(_TABLE)


@functools.cache
def _load() -> None:
    kinds(Trick)
    for module in _MODULES:
        importlib.import_module(module)
