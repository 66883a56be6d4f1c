"""The layer of `search_spaces.blocks.tree_cells`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.cells import State

if TYPE_CHECKING:
    from search_spaces.blocks.tree_cells import TreeCell, TreeNode

COMBINE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "elem_mult": torch.mul,
    "max": torch.maximum,
}
ACTIVATE: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "sin": torch.sin,
}


class TreeLayer(nn.Module):
    """A layer of a `TreeCell` over a sequence, with the state (h, c).

    The matrices of all B leaves stand below one another: `weight_input` (B * hidden, inputs) meets the whole sequence
    at once, `weight_hidden` (B * hidden, hidden) each step once. They are drawn evenly from plus to minus one over the
    root of `hidden`, as those of torch's own layers.
    """

    def __init__(self, spec: TreeCell, inputs: int, hidden: int) -> None:
        super().__init__()
        self.base = spec.base
        self.weight_input = nn.Parameter(torch.empty(self.base * hidden, inputs))
        self.weight_hidden = nn.Parameter(torch.empty(self.base * hidden, hidden))
        for weight in (self.weight_input, self.weight_hidden):
            nn.init.uniform_(weight, -1 / math.sqrt(hidden), 1 / math.sqrt(hidden))
        self._nodes = [_functions(node) for node in spec.nodes]
        self._inject = _functions(spec.inject)
        self._memory, self._injected = spec.memory, spec.injected

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Returns the outputs (N, T, hidden) for `x` (N, T, inputs), and the state (h, c)."""
        products = torch.unflatten(F.linear(x, self.weight_input), 2, (self.base, -1))
        if x.is_meta:  # where shapes alone are asked for, and each step would take as long as with numbers
            out = products.new_empty(*products.shape[:2], products.shape[3])
            return out, (out[:, -1], out[:, -1])
        given = products.flatten(1, 2).unbind(1)
        if state is None:
            h = c = products.new_zeros(products.shape[0], products.shape[3])
        else:
            h, c = (part.to(products.dtype) for part in state)
        outputs = []
        for start in range(0, len(given), self.base):
            before = torch.unflatten(F.linear(h, self.weight_hidden), 1, (self.base, -1)).unbind(1)
            h, c = self._step(given[start : start + self.base], before, c)
            outputs.append(h)
        return torch.stack(outputs, 1), (h, c)

    def _step(self, given: Sequence[Tensor], before: Sequence[Tensor], c: Tensor) -> tuple[Tensor, Tensor]:
        """Returns h_t and c_t for c_{t-1} and the products (N, hidden) of each leaf with x_t and h_{t-1}."""
        values: list[Tensor] = []
        memory = c
        for index, (combine, activate) in enumerate(self._nodes):
            first = 2 * (index - self.base)
            leaf = index < self.base
            raw = combine(given[index], before[index]) if leaf else combine(values[first], values[first + 1])
            if index == self._memory:
                memory = raw
            value = activate(raw)
            if index == self._injected:
                value = self._inject[1](self._inject[0](value, c))
            values.append(value)
        return values[-1], memory

    def macs(self, inputs: tuple[object, ...], output: Tensor) -> int:
        """Returns the multiply-adds of the matrices."""
        steps = output.numel() // output.shape[-1]
        return steps * (self.weight_input.numel() + self.weight_hidden.numel())


def _functions(node: TreeNode) -> tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]:
    return COMBINE[node.combination], ACTIVATE[node.activation]
