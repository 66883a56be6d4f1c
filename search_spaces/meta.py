"""A shortcut for networks on torch's meta device, of which nothing but shapes is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_DRAWN = (Tensor.normal_, Tensor.uniform_, Tensor.bernoulli_)
_BY_ELEMENT = (Tensor.add, Tensor.sub, Tensor.mul)
_KEPT = (F.group_norm, F.layer_norm, torch.sigmoid)


class ShapesOnly(TorchFunctionMode):
    """While it is entered, what takes long on the meta device and changes no shape is left out.

    Resizing is a hundred operations in Python there, a norm or drawing numbers dozens; here they are an allocation at
    most. On other devices numbers would be lost.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Returns what a function of torch would return, or a tensor like it."""
        kwargs = kwargs or {}
        if func in _BY_ELEMENT and not kwargs and _alike(*args):
            shape = torch.broadcast_shapes(args[0].shape, args[1].shape)  # type: ignore[no-untyped-call]
            return args[0].new_empty(shape)
        if func in _KEPT or (func is F.relu and args and not kwargs.get("inplace")):
            return like(args[0])
        if func in _DRAWN or getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if func is F.interpolate:
            return _interpolated(*args, **kwargs)
        return func(*args, **kwargs)


def like(x: Tensor) -> Tensor:
    """Returns a tensor of the shape and type of `x`; ten times as fast as `torch.empty_like` on the meta device."""
    return x.new_empty(x.shape)


def _alike(x: Any, y: Any) -> bool:
    return isinstance(x, Tensor) and isinstance(y, Tensor) and x.dtype == y.dtype


def _interpolated(x: Tensor, size: Any = None, *args: Any, **kwargs: Any) -> Tensor:
    if not isinstance(size, tuple | list):
        return F.interpolate(x, size, *args, **kwargs)
    return x.new_empty((*x.shape[:2], *size))
