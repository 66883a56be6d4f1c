"""Dropout and drop path, put into a network that was built without them."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn import functional as F

from search_spaces.build import set_drop_path
from search_spaces.recipe import Dropout, DropPath
from trainers.tricks.registry import implements


@implements(Dropout)
def dropout(spec: Dropout, network: nn.Module) -> None:
    """Hooks dropout before the last linear layer; names and number of weights stay.

    Raises:
        ValueError: The network has no linear layer.
    """
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ValueError("dropout needs a network with a linear layer; set dropout to null")

    def drop(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (F.dropout(inputs[0], spec.rate, module.training), *inputs[1:])

    linear[-1].register_forward_pre_hook(drop)


@implements(DropPath)
def drop_path(spec: DropPath, network: nn.Module) -> None:
    """Sets the rate of the network's drop-path layers; a network without any is left as it is."""
    set_drop_path(network, spec.rate)
