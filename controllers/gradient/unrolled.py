"""The second order gradient of DARTS, by finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor


SCALE = 0.01
"""The step of the finite difference is this over the norm of the gradient, as in the paper."""


def unrolled_gradient(
    optimizer: Any,
    logits: Sequence[Tensor],
    held_out_loss: Callable[[], Tensor],
    weight_loss: Callable[[], Tensor],
    scale: float = SCALE,
) -> tuple[Tensor, list[Tensor]]:
    """Returns the held-out loss one step of the weights ahead, and its gradient to the logits through that step.

    The step is that of SGD with momentum, whatever the optimizer: w' = w - xi (momentum * buffer + gradient + decay *
    w), xi its rate and decay its weight decay of now; one that keeps no momentum of this sort, such as Adam, adds none.
    The weights are as they were when this returns. Both sides of the difference draw the same numbers from torch's
    generators, such as masks of dropout: else they would differ by more than the weights.

    Args:
        optimizer: Of the weights.
        logits: Each takes gradients.
        held_out_loss: Computes the loss on held-out rows.
        weight_loss: Computes the loss on the rows that the weights are about to learn from; the difference of two is
            lost in less than float32.
        scale: Of the finite difference.

    Paper: Liu et al., 2019, arXiv 1806.09055, section 2.3, equations 6 to 8.
    Deviation: Running figures of batch norms see the steps to both sides, as those of the weights' own network do in
        the authors' code, and the step ahead too, which there belongs to a copy.
    """
    import torch

    weights, ahead, rates = _planned(optimizer)
    before = [weight.detach().clone() for weight in weights]
    gradients = _grad(weight_loss(), weights)
    with torch.no_grad():
        for weight, step, rate, gradient in zip(weights, ahead, rates, gradients, strict=True):
            weight.sub_(rate * (step + gradient))
    loss = held_out_loss()
    found = _grad(loss, [*logits, *weights])
    # Where groups have rates of their own, each weight's part is scaled by its own.
    vector = [rate * part for rate, part in zip(rates, found[len(logits) :], strict=True)]
    norm = torch.stack([part.norm() for part in vector]).norm()
    step = scale / norm.clamp(min=1e-12)

    def side(sign: float) -> tuple[Tensor, ...]:
        with torch.no_grad():
            for weight, old, part in zip(weights, before, vector, strict=True):
                weight.copy_(old + sign * step * part)
        return _grad(weight_loss(), logits)

    with _drawn_again(weights[0].device):
        above = side(1.0)
    below = side(-1.0)
    with torch.no_grad():
        for weight, old in zip(weights, before, strict=True):
            weight.copy_(old)
    return loss.detach(), [
        direct - (up - down) / (2 * step) for direct, up, down in zip(found[: len(logits)], above, below, strict=True)
    ]


def _drawn_again(device: torch.device) -> AbstractContextManager[None]:
    """Returns a `with` behind which torch's generators stand where they stood before it, those of a device too."""
    import torch

    if device.type == "cpu":
        return torch.random.fork_rng([])
    return torch.random.fork_rng([device], device_type=device.type)


def _planned(optimizer: Any) -> tuple[list[Tensor], list[Tensor], list[float]]:
    """Returns the weights, what the step adds to the gradient of each, and the rate of each."""
    weights: list[Tensor] = []
    ahead: list[Tensor] = []
    rates: list[float] = []
    for group in optimizer.param_groups:
        for weight in group["params"]:
            step = group["weight_decay"] * weight.detach()
            buffer = optimizer.state.get(weight, {}).get("momentum_buffer")
            if buffer is not None:
                step = step + group.get("momentum", 0.0) * buffer
            weights.append(weight)
            ahead.append(step)
            rates.append(group["lr"])
    return weights, ahead, rates


def _grad(loss: Tensor, values: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Returns the gradient to each value, zeros where the loss does not depend on it."""
    import torch

    return torch.autograd.grad(loss, list(values), materialize_grads=True)
