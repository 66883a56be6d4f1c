"""Sums of weighted, normalised maps that keep no more for the backward pass than the maps themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def mixed(weights: Tensor, maps: Sequence[Tensor], norms: Sequence[nn.BatchNorm2d | None]) -> Tensor:
    """Returns the sum of maps, each normalised where it has a norm, by their weights, in train mode.

    A normalised map is never made: the sum takes `weight / deviation` of each map at once, and the backward pass makes
    what it needs of the map and two numbers a channel.

    Args:
        weights: (K,).
        maps: K maps (N, C, H, W), of more than one value a channel.
        norms: Their batch norms without scale and shift, whose running figures are brought up to date; None: the map
            is taken as it is.
    """
    out: Tensor = _Mixed.apply(weights, list(norms), *maps)  # type: ignore[no-untyped-call]
    return out


class _Mixed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, norms: list[nn.BatchNorm2d | None], *maps: Tensor) -> Tensor:
        first = maps[0]
        out = torch.zeros_like(first)
        shift: Any = None
        figures: list[Tensor] = []
        for weight, norm, x in zip(weights.unbind(), norms, maps, strict=True):
            if norm is None:
                out.addcmul_(x, weight)
                continue
            mean, deviation = _figures(norm, x)
            scale = weight * deviation
            out.addcmul_(x, scale.view(1, -1, 1, 1))
            shift = scale * mean if shift is None else shift.addcmul_(scale, mean)
            figures += [mean, deviation]
        if shift is not None:
            out.sub_(shift.view(1, -1, 1, 1))
        ctx.eps = [None if norm is None else norm.eps for norm in norms]
        ctx.save_for_backward(weights, *maps, *figures)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        weights, *saved = ctx.saved_tensors
        maps, figures = saved[: len(ctx.eps)], iter(saved[len(ctx.eps) :])
        gradient = gradient.contiguous(memory_format=_layout(maps[0]))
        of_weights: list[Any] = []
        of_maps: list[Any] = []
        learns = ctx.needs_input_grad[0]
        for i, (weight, eps, x) in enumerate(zip(weights.unbind(), ctx.eps, maps, strict=True)):
            needed = ctx.needs_input_grad[2 + i]
            if eps is None:
                of_maps.append(gradient * weight if needed else None)
                of_weights.append(
                    torch.dot(gradient.permute(0, 2, 3, 1).reshape(-1), x.permute(0, 2, 3, 1).reshape(-1))
                    if learns
                    else None
                )
                continue
            mean, deviation = next(figures), next(figures)
            scale = weight.expand(len(mean)).contiguous()
            of_x, of_scale, _ = torch.ops.aten.native_batch_norm_backward(
                gradient, x, scale, None, None, mean, deviation, True, eps, [needed, True, False]
            )
            of_maps.append(of_x)
            of_weights.append(of_scale.sum() if learns else None)
        return torch.stack(of_weights) if learns else None, None, *of_maps


def _figures(norm: nn.BatchNorm2d, x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean and one over the deviation of each channel, and brings the running figures up to date."""
    assert norm.momentum is not None
    mean, variance = torch.batch_norm_update_stats(x, norm.running_mean, norm.running_var, norm.momentum)
    return mean, (variance + norm.eps).rsqrt()


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format


def phases(x: Tensor) -> Tensor:
    """Returns the four maps of every other row and column, (4 N, C, H / 2, W / 2), of maps of even size (N, C, H, W).

    A convolution of dilation 2 is a plain one on these.
    """
    n, c, height, width = x.shape
    split = x.view(n, c, height // 2, 2, width // 2, 2) if x.is_contiguous() else _split(x)
    found = split.permute(3, 5, 0, 1, 2, 4).reshape(4 * n, c, height // 2, width // 2)
    return found.contiguous(memory_format=_layout(x))


def _split(x: Tensor) -> Tensor:
    return torch.unflatten(torch.unflatten(x, 2, (-1, 2)), 4, (-1, 2))


def joined(x: Tensor) -> Tensor:
    """Returns the maps (N, C, H, W) whose phases are `x`: the inverse of `phases`."""
    n, c, height, width = x.shape
    found = x.view(2, 2, n // 4, c, height, width) if x.is_contiguous() else torch.unflatten(x, 0, (2, 2, -1))
    return (
        found.permute(2, 3, 4, 0, 5, 1).reshape(n // 4, c, 2 * height, 2 * width).contiguous(memory_format=_layout(x))
    )
