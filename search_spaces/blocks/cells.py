"""Recurrent cells: what a layer of a recurrent network computes from its input and its state, step after step."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from search_spaces.blocks.base import Block, Form
from search_spaces.build import Graph, Shape

if TYPE_CHECKING:
    from torch import nn

    from search_spaces.cost import Cost


class Cell(Block):
    """A cell, and the layer that runs it over a sequence.

    The layer's module is called as `layer(x, state)`, where `x` is (N, T, inputs) and `state` is None, for zeros, or a
    tuple of `states` tensors (N, hidden); it returns the outputs (N, T, hidden) and the state after the last step.

    Attributes:
        states: Tensors that a state consists of; the first is the output of the last step.
    """

    takes: ClassVar[Form] = "sequence"
    gives: ClassVar[Form] = "sequence"
    states: ClassVar[int] = 1

    def build(self, inputs: int, hidden: int) -> nn.Module:
        """Returns the layer for inputs of `inputs` numbers and a state of `hidden` numbers."""
        raise NotImplementedError

    def cost(self, channels: int = 64, image_size: tuple[int, int] = (64, 64)) -> Cost | None:
        """Returns what a layer costs for one step, where inputs and state are `channels` numbers each."""
        import torch

        from search_spaces.cost import called_cost

        x = torch.zeros(1, 1, channels, device="meta")
        return called_cost(lambda: self.build(channels, channels), lambda layer: layer(x, None))

    def inner(self, shape: Shape, params: int) -> Graph | None:
        """Returns the operations within a layer, to be drawn; None where it is one box.

        Those that read from no other read the layer's input; the last one is its output.

        Args:
            shape: Shape of the layer's output, without the batch.
            params: Trainable parameters of the layer.
        """
        return None


class Lstm(Cell):
    """Long short-term memory; its state is (h, c).

    Paper: Hochreiter & Schmidhuber, 1997, doi 10.1162/neco.1997.9.8.1735, with the forget gate of Gers et al., 2000.
    """

    kind: Literal["lstm"] = "lstm"
    states: ClassVar[int] = 2

    def build(self, inputs: int, hidden: int) -> nn.Module:
        """Returns torch's fused layer."""
        from search_spaces.networks.cells import LstmLayer

        return LstmLayer(inputs, hidden)


class Gru(Cell):
    """Gated recurrent unit, the reset gate behind the matrix; its state is (h,).

    Paper: Cho et al., 2014, arXiv 1406.1078.
    """

    kind: Literal["gru"] = "gru"

    def build(self, inputs: int, hidden: int) -> nn.Module:
        """Returns torch's fused layer."""
        from search_spaces.networks.cells import GruLayer

        return GruLayer(inputs, hidden)
