"""Networks of dynamic depth: what they answer, which gates were open, and the multiply-adds that this takes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

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
        self._opened, self._seen = torch.zeros(len(self.macs), dtype=torch.float64), 0

    def answers(self, network: nn.Module, images: Tensor) -> Tensor:
        """Returns the main output of a network in eval mode, and counts its open gates."""
        if not self.macs:
            found: Tensor = network(images)
            return found
        network.training = True  # of the outermost module alone: it returns all that it has
        try:
            everything: dict[str, Any] = network(images)
        finally:
            network.training = False
        self._opened += everything["gates"].double().sum(0).cpu()
        self._seen += len(images)
        answer: Tensor = everything["out"]
        return answer

    def average_macs(self) -> float:
        """Returns the multiply-adds that an example took on average since the last call, and forgets the counts."""
        rates = (self._opened / max(1, self._seen)).tolist()
        self._opened.zero_()
        self._seen = 0
        return expected_macs(self._whole, self.macs, rates)
