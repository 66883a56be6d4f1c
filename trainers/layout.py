"""The layout of weights and maps in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

_BLOCK = 16  # channels that the widest processors take at once


def channels_last(network: nn.Module, device: str) -> None:
    """Puts the channels of weights last, in place; maps follow those of their inputs.

    On a processor, oneDNN writes past its workspace in the backward pass of a strided 1x1 convolution of maps with
    fewer channels than a vector holds, if these come last: gradients are wrong, and memory is corrupted
    (github.com/uxlfoundation/oneDNN/issues/6035). Such a convolution keeps the plain layout.

    Args:
        network: Whose weights.
        device: A torch device.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if torch.device(device).type != "cpu":
        return
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and _broken(module):
            weight = module.weight
            # A copy: of 1x1 weights, `contiguous` takes either layout for the plain one, and oneDNN does not.
            weight.data = torch.empty(weight.shape, dtype=weight.dtype).copy_(weight.data)
            module.register_forward_pre_hook(_plain)


def _broken(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (1, 1) and max(conv.stride) > 1 and conv.in_channels // conv.groups < _BLOCK


def _plain(conv: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (inputs[0].contiguous(memory_format=torch.contiguous_format),)
