"""A shortcut for networks on torch's meta device, of which nothing but shapes is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class ShapesOnly(TorchFunctionMode):
    """While it is entered, what takes long on the meta device and changes no shape is left out.

    Resizing is a hundred operations in Python there, a convolution, a norm or drawing numbers dozens; here they are an
    allocation at most. On other devices numbers would be lost.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Returns what a function of torch would return, or a tensor like it."""
        return _SHORTCUTS.get(func, func)(*args, **(kwargs or {}))


def like(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Returns a tensor of the shape and type of `x`; ten times as fast as `torch.empty_like` on the meta device."""
    return x.new_empty(x.shape)


def _same(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return tensor


def _relu(x: Tensor, inplace: bool = False) -> Tensor:
    return x if inplace else like(x)


def _interpolated(x: Tensor, size: Any = None, *args: Any, **kwargs: Any) -> Tensor:
    if not isinstance(size, tuple | list):
        return F.interpolate(x, size, *args, **kwargs)
    return x.new_empty((*x.shape[:2], *size))


def _convolved(
    x: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    fits = x.dim() == 4 and x.shape[1] == weight.shape[1] * groups and x.dtype == weight.dtype
    if fits and all(isinstance(given, tuple) for given in (stride, padding, dilation)):
        steps = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
        size = [(side + 2 * pad - apart * (kernel - 1) - 1) // step + 1 for side, kernel, step, pad, apart in steps]
        if min(size) > 0:
            return x.new_empty((x.shape[0], weight.shape[0], *size))
    return F.conv2d(x, weight, bias, stride, padding, dilation, groups)


def _by_element(func: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def shortcut(x: Tensor, y: Any, **kwargs: Any) -> Tensor:
        if kwargs or not isinstance(y, Tensor) or x.shape != y.shape or x.dtype != y.dtype:
            return func(x, y, **kwargs)
        return like(x)

    return shortcut


_SHORTCUTS: dict[Callable[..., Any], Callable[..., Any]] = {
    F.conv2d: _convolved,
    F.interpolate: _interpolated,
    F.relu: _relu,
    **dict.fromkeys((F.group_norm, F.layer_norm, torch.sigmoid), like),
    **dict.fromkeys((Tensor.normal_, Tensor.uniform_, nn.init.kaiming_uniform_, nn.init.uniform_), _same),
    **{func: _by_element(func) for func in (Tensor.add, Tensor.sub, Tensor.mul)},
}
