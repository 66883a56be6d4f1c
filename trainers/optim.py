"""Optimizers and gradient clipping."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from search_spaces.recipe import AdamW, ClipGradients, Sgd
from trainers.tricks.registry import implements


@implements(Sgd)
def sgd(spec: Sgd, network: nn.Module) -> torch.optim.Optimizer:
    """SGD over the network's weights; Nesterov's form needs momentum and is plain SGD without."""
    return torch.optim.SGD(
        _groups(network, spec.weight_decay, spec.decay_bias_and_norm),
        lr=spec.lr,
        momentum=spec.momentum,
        nesterov=spec.nesterov and spec.momentum > 0,
        fused=True,
    )


@implements(AdamW)
def adamw(spec: AdamW, network: nn.Module) -> torch.optim.Optimizer:
    """AdamW over the network's weights."""
    return torch.optim.AdamW(
        _groups(network, spec.weight_decay, spec.decay_bias_and_norm),
        lr=spec.lr,
        betas=(spec.beta1, spec.beta2),
        eps=spec.epsilon,
        fused=True,
    )


@implements(ClipGradients)
def clip(spec: ClipGradients, parameters: Iterable[nn.Parameter]) -> None:
    """Scales gradients so that their joint norm is at most `spec.norm`."""
    nn.utils.clip_grad_norm_(parameters, spec.norm)


def _groups(network: nn.Module, weight_decay: float, decay_bias_and_norm: bool) -> list[dict[str, Any]]:
    """Weights that decay and weights that do not: biases and norms are those of less than two dimensions."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for weight in network.parameters():
        if weight.requires_grad:
            (decayed if decay_bias_and_norm or weight.ndim > 1 else free).append(weight)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
