"""Optimizers and gradient clipping."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from search_spaces.recipe import AdaBound, Adam, AdamW, ClipGradients, Sgd, TwoPhase
from trainers.adabound import AdaBoundOptimizer
from trainers.tricks.registry import implementation, implements

BASE = "initial_lr"
"""Key of a group's own rate, which the schedule's factor multiplies."""


@implements(Sgd)
def sgd(spec: Sgd, network: nn.Module) -> torch.optim.Optimizer:
    """SGD over the network's weights; Nesterov's form needs momentum and is plain SGD without."""
    return torch.optim.SGD(
        _groups(spec, network),
        lr=spec.lr,
        momentum=spec.momentum,
        nesterov=spec.nesterov and spec.momentum > 0,
        fused=True,
    )


@implements(AdamW)
def adamw(spec: AdamW, network: nn.Module) -> torch.optim.Optimizer:
    """AdamW over the network's weights."""
    return torch.optim.AdamW(
        _groups(spec, network),
        lr=spec.lr,
        betas=(spec.beta1, spec.beta2),
        eps=spec.epsilon,
        fused=True,
    )


@implements(Adam)
def adam(spec: Adam, network: nn.Module) -> torch.optim.Optimizer:
    """Adam over the network's weights."""
    return torch.optim.Adam(
        _groups(spec, network),
        lr=spec.lr,
        betas=(spec.beta1, spec.beta2),
        eps=spec.epsilon,
        fused=True,
    )


@implements(AdaBound)
def adabound(spec: AdaBound, network: nn.Module) -> torch.optim.Optimizer:
    """AdaBound over the network's weights."""
    return AdaBoundOptimizer(
        _groups(spec, network),
        lr=spec.lr,
        betas=(spec.beta1, spec.beta2),
        final_lr=spec.final_lr,
        gamma=spec.gamma,
        eps=spec.epsilon,
        amsbound=spec.amsbound,
    )


@implements(TwoPhase)
class Phases:
    """Two optimizers over the same weights, of which one is in use."""

    def __init__(self, spec: TwoPhase, network: nn.Module) -> None:
        self._switch = spec.switch
        self.phases: tuple[torch.optim.Optimizer, ...] = tuple(
            implementation(phase)(network) for phase in (spec.first, spec.second)
        )
        self.phase = 0

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of the optimizer in use."""
        groups: list[dict[str, Any]] = self.phases[self.phase].param_groups
        return groups

    @property
    def state(self) -> dict[Any, Any]:
        """What the optimizer in use keeps of each weight."""
        state: dict[Any, Any] = self.phases[self.phase].state
        return state

    def set_progress(self, fraction: float) -> None:
        """Goes over to the second optimizer when it is time to.

        Args:
            fraction: Of training, in [0, 1].
        """
        self.phase = int(fraction >= self._switch)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Adds weights to both."""
        for phase in self.phases:
            phase.add_param_group(dict(group))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the gradients."""
        self.phases[self.phase].zero_grad(set_to_none)

    def step(self) -> None:
        """Takes a step with the optimizer in use."""
        self.phases[self.phase].step()

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of both."""
        return {"phase": self.phase, "phases": [phase.state_dict() for phase in self.phases]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts it back, but for the settings, which stay."""
        self.phase = state["phase"]
        for phase, saved in zip(self.phases, state["phases"], strict=True):
            restore(phase, saved)


AnyOptimizer = torch.optim.Optimizer | Phases


def optimizers(optimizer: AnyOptimizer) -> tuple[torch.optim.Optimizer, ...]:
    """Returns the optimizers that one is made of: of all its phases, or itself."""
    return optimizer.phases if isinstance(optimizer, Phases) else (optimizer,)


def begin_at_rest(optimizer: torch.optim.Optimizer) -> None:
    """Gives weights of SGD their momentum, zero, so that some may meet their first gradient later than others.

    The first step is the same; without it torch's fused kernel fails where some weights have a momentum and some none.
    """
    if isinstance(optimizer, torch.optim.SGD):
        for group in optimizer.param_groups:
            for weight in group["params"] if group["momentum"] else ():
                optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)


def settle(optimizer: AnyOptimizer) -> None:
    """Notes the rate that each group has now as its own."""
    for each in optimizers(optimizer):
        for group in each.param_groups:
            group[BASE] = group["lr"]


def set_factor(optimizer: AnyOptimizer, factor: float) -> float:
    """Sets the rate of each group to its own times a factor, and returns that of the first."""
    for group in optimizer.param_groups:
        group["lr"] = group[BASE] * factor
    rate: float = optimizer.param_groups[0]["lr"]
    return rate


def restore(optimizer: AnyOptimizer, state: dict[str, Any]) -> None:
    """Puts moments and counters back; settings stay as the recipe has them now.

    Args:
        optimizer: Over the same weights as the one that was saved.
        state: Its `state_dict`.
    """
    if isinstance(optimizer, Phases):
        optimizer.load_state_dict(state)
        return
    settings = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, setting in zip(optimizer.param_groups, settings, strict=True):
        group.update(setting)


@implements(ClipGradients)
def clip(spec: ClipGradients, parameters: Iterable[nn.Parameter]) -> None:
    """Scales gradients so that their joint norm is at most `spec.norm`."""
    nn.utils.clip_grad_norm_(parameters, spec.norm)


def _groups(spec: Sgd | AdamW | Adam | AdaBound, network: nn.Module) -> list[dict[str, Any]]:
    """Weights that decay and weights that do not, biases and norms: those of less than two dimensions.

    A weight with an attribute `lr_factor` learns at so many times the rate; those without one come first.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, True): [], (1.0, False): []}
    for weight in network.parameters():
        if weight.requires_grad:
            decays = spec.decay_bias_and_norm or weight.ndim > 1
            groups.setdefault((getattr(weight, "lr_factor", 1.0), decays), []).append(weight)
    return [
        {"params": weights, "lr": spec.lr * factor, "weight_decay": spec.weight_decay if decays else 0.0}
        for (factor, decays), weights in groups.items()
        if weights
    ]
