"""Finds the implementation of a trick by the class of its spec.

What an implementation is called with, after its spec, depends on its family:

| family | called with | returns |
|---|---|---|
| `Optimizer` | network | `torch.optim.Optimizer` |
| `Schedule` | `Position` since the warmup | factor on the rate |
| `Warmup` | `Position` | factor on the rate, or None once it is over |
| `RateScaling` | batch size | factor on the rate |
| `ClipGradients` | parameters | None |
| `Augmentation`, `Mix` | `Batch` | `Batch` |
| `Normalize` | (C,) mean and standard deviation of the training part | those to use |
| `Balance` | `Rows` | (N,) how often each row is drawn, on any scale |
| `SeparateSplits` | (N,) training rows | an object with `weights` and `architecture`, rows each |
| `EasyFirst` | epochs taken | share of the rows, the easiest first |
| `Staged` | network, optimizer | an object with `update(epochs taken)` |
| `LabelSmoothing` | (N, K) targets | (N, K) targets |
| `Loss` | (N, K, ...) logits, (N, ...) classes or (N, K, ...) probabilities, `Weights` of classes | scalar |
| `Margin` | network | called with (N, K) shares of it and progress: (N, K) logits; `constrain` keeps the weights |
| `DeepSupervision` | losses of all heads, that of the main one first | scalar |
| `EdgeLoss` | (N, 1, H, W) logits of edges, (N, H, W) masks | scalar |
| `DualTask` | (N, K, H, W) logits, (N, 1, H, W) logits of edges, (N, H, W) masks | scalar |
| `UncertaintyWeighting` | names of losses -> whether each is of a regression | module, called with names -> losses |
| `Distillation` | input shape, outputs, device, `Learn` | module, called with outputs, inputs and loss |
| `GateLoss` | (N, gates) which were open, multiply-adds of their units | scalar |
| `Ensemble` | input shape, outputs, device, `Learn` | module, called with the network and images |
| `Initialization`, `BatchNorm`, `Dropout`, `DropPath` | network, which it changes in place | None |
| `L1` | network | a function that returns a scalar |
| `Ema` | network | an object with `update`, `applied`, `state_dict`, `load_state_dict` |
| `MultiScaleTest` | network, (N, C, H, W) images | (N, K) or (N, K, H, W) logits |
| `EarlyStopping` | nothing | an object with `update`, `state_dict`, `load_state_dict` |
| `BoxLoss` | (n, 4) deltas, right boxes, anchors, and the weights of deltas | (n,) losses |
| `Assignment` | candidates, (N, M, 4) boxes, which of them count, which are ignored | `Assigned` |
| `Sampling` | (N, A) states of an `Assigned`, and what each candidate costs | (N, A) whether each counts |
| `GuidedLoss` | implementation of an `Assignment`, outputs, `Objects` | losses by name |
| `CascadeLoss` | number of a stage | `StagePlan` |
| `Suppression` | (N, n, 4) boxes, (N, n) scores and classes | boxes, and scores, 0 where dropped |
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
    "trainers.tricks.assignment",
    "trainers.tricks.augment",
    "trainers.tricks.boxes",
    "trainers.tricks.cascade",
    "trainers.tricks.color",
    "trainers.tricks.copy_paste",
    "trainers.tricks.distillation",
    "trainers.tricks.edges",
    "trainers.tricks.ensemble",
    "trainers.tricks.evaluation",
    "trainers.tricks.gates",
    "trainers.tricks.geometry",
    "trainers.tricks.guided",
    "trainers.tricks.initialization",
    "trainers.tricks.loss",
    "trainers.tricks.margin",
    "trainers.tricks.mix",
    "trainers.tricks.nms",
    "trainers.tricks.policy",
    "trainers.tricks.regularization",
    "trainers.tricks.sampling",
    "trainers.tricks.splits",
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
