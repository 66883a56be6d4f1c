"""Dropout, drop path, norm settings and penalties, put into a network that was built without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from search_spaces.build import classifier_of, set_drop_path
from search_spaces.recipe import L1, BatchNorm, Dropout, DropPath
from trainers.tricks.registry import implements


@implements(Dropout)
def dropout(spec: Dropout, network: nn.Module) -> None:
    """Hooks dropout before the layer, or layers, that score the classes; names and number of weights stay.

    Raises:
        ValueError: The network does not say which layer that is, and has no linear one.
    """
    classifier = classifier_of(network)
    if classifier is None:
        raise ValueError("dropout needs a network that names its classifier or has a linear layer; set dropout to null")

    def drop(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        # Neighbours in a map say nearly the same, so that single ones would not be missed.
        dropped = F.dropout2d if inputs[0].dim() == 4 else F.dropout
        return (dropped(inputs[0], spec.rate, module.training), *inputs[1:])

    for layer in classifier if isinstance(classifier, nn.ModuleList) else (classifier,):
        layer.register_forward_pre_hook(drop)


@implements(DropPath)
def drop_path(spec: DropPath, network: nn.Module) -> None:
    """Sets the rate of the network's drop-path layers; a network without any is left as it is."""
    set_drop_path(network, spec.rate)


@implements(BatchNorm)
def batch_norm(spec: BatchNorm, network: nn.Module) -> None:
    """Sets momentum and epsilon of all batch norms, and makes them take statistics over all devices.

    The names of weights stay. In one process synchronised norms are plain ones.

    Raises:
        ValueError: They were to be synchronised over ranks without accelerators, which torch cannot do.
    """
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if spec.sync and distributed and any(weight.device.type == "cpu" for weight in network.parameters()):
        raise ValueError("batch norms cannot be synchronised over ranks on the CPU; set batch_norm.sync to false")
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.momentum, module.eps = spec.momentum, spec.epsilon
    if spec.sync:
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]


@implements(L1)
def l1(spec: L1, network: nn.Module) -> Callable[[], Tensor]:
    """Returns a function that returns the penalty on the weights as they are when it is called."""
    weights = [w for w in network.parameters() if w.requires_grad and (spec.bias_and_norm or w.ndim > 1)]

    def penalty() -> Tensor:
        return spec.weight * torch.stack([weight.abs().sum() for weight in weights]).sum()

    return penalty
