"""Networks of dynamic depth: which gates were open, and the multiply-adds that this takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from search_spaces.build import Architecture, Shape
from search_spaces.cost import cost
from trainers.tricks.gates import expected_macs


class Depth:
    """Counts how often each gate is open while a network is judged.

    Args:
        architecture: Of the network; most have no gates, so that all examples cost the same.
        input_shape: Shape of one input, without the batch.
        outputs: Number of classes.
    """

    def __init__(self, architecture: Architecture, input_shape: Shape, outputs: int) -> None:
        self.macs = architecture.gated_macs(input_shape)
        self._whole = cost(architecture, input_shape, outputs).macs
        self._opened = torch.zeros(len(self.macs), dtype=torch.float64)
        self._seen = torch.zeros_like(self._opened)

    @contextmanager
    def counting(self, network: Any) -> Iterator[None]:
        """Counts the gates of a network, its child `gates`, as long as the context lasts; counts begin at 0."""
        self._opened.zero_()
        self._seen.zero_()

        def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            i, keep = inputs[1], output[0]
            self._opened[i] += keep.double().sum().cpu()
            self._seen[i] += len(keep)

        hook = network.gates.register_forward_hook(count) if self.macs else None
        try:
            yield
        finally:
            if hook is not None:
                hook.remove()

    def average_macs(self) -> float:
        """Returns the multiply-adds that an example took on average."""
        rates = (self._opened / self._seen.clamp(min=1)).tolist()
        return expected_macs(self._whole, self.macs, rates)
