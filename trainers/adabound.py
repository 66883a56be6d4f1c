"""AdaBound."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def bounds(step: int, final_lr: float, gamma: float) -> tuple[float, float]:
    """Returns the least and the greatest rate of a weight at a step.

    Args:
        step: From 1.
        final_lr: Where both end.
        gamma: How fast they get there, a step.

    Paper: Luo et al., 2019, 1902.09843, section 4.
    """
    return final_lr * (1 - 1 / (gamma * step + 1)), final_lr * (1 + 1 / (gamma * step))


class AdaBoundOptimizer(torch.optim.Optimizer):
    """Adam with bounds on the rate of each weight.

    Args:
        params: Weights, or groups of them.
        lr: Rate at first.
        betas: Decay of the first and second moments.
        final_lr: Rate at last, under the rate that the group began with; a schedule scales it along.
        gamma: How fast the bounds close in, a step.
        eps: Added to the root of the second moment.
        weight_decay: Of the L2 penalty.
        amsbound: Whether the largest second moment so far takes the place of the present one.

    Paper: Luo et al., 2019, 1902.09843, algorithms 2 and 3.
    Deviation: Moments are corrected for their start, as in the authors' code, and step sizes do not fall with the
        root of the step: that is left to the schedule.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        final_lr: float = 0.1,
        gamma: float = 1e-3,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsbound: bool = False,
    ) -> None:
        names: dict[str, Any] = {"lr": lr, "betas": betas, "final_lr": final_lr, "gamma": gamma, "eps": eps}
        super().__init__(params, names | {"weight_decay": weight_decay, "amsbound": amsbound, "base_lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Takes a step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)
        return loss

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(weight), torch.zeros_like(weight)
            if group["amsbound"]:
                state["largest"] = torch.zeros_like(weight)
        state["step"] += 1
        step, (beta1, beta2) = state["step"], group["betas"]
        if group["weight_decay"]:
            gradient = gradient.add(weight, alpha=group["weight_decay"])
        state["mean"].lerp_(gradient, 1 - beta1)
        second = state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        if group["amsbound"]:
            second = torch.maximum(state["largest"], second, out=state["largest"])
        correction = (1 - beta2**step) ** 0.5 / (1 - beta1**step)
        rate = (group["lr"] * correction) / second.sqrt().add_(group["eps"])
        low, high = bounds(step, group["final_lr"] * group["lr"] / group["base_lr"], group["gamma"])
        weight.sub_(rate.clamp_(low, high).mul_(state["mean"]))
