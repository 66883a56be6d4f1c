"""Adam on named weights, its state by name.

torch's own imports its compiler when it is made, a second that a search would wait for.

Paper: Kingma & Ba, 2015, arXiv 1412.6980, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from controllers.state import State, to_arrays

if TYPE_CHECKING:
    from torch import Tensor


class Adam:
    """Moves weights against the running mean of their gradients, each in units of its running size.

    Args:
        weights: Name -> weight, changed in place.
        learning_rate: Step size.
        betas: Decay of the running mean and of the running square.
        epsilon: Added to the root of the square.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        self.learning_rate = learning_rate
        self._weights = weights
        self._betas = betas
        self._epsilon = epsilon
        self._steps: dict[str, int] = {}
        self._means: dict[str, Tensor] = {}
        self._squares: dict[str, Tensor] = {}

    def step(self, gradients: Mapping[str, Tensor]) -> None:
        """Take one step down; weights without a gradient stay.

        Args:
            gradients: Name -> gradient of what is to become small.
        """
        import torch

        first, second = self._betas
        with torch.no_grad():
            for name, gradient in gradients.items():
                weight = self._weights[name]
                step = self._steps[name] = self._steps.get(name, 0) + 1
                mean = self._means.setdefault(name, torch.zeros_like(weight)).lerp_(gradient, 1 - first)
                square = self._squares.setdefault(name, torch.zeros_like(weight))
                square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
                size = (square / (1 - second**step)).sqrt_().add_(self._epsilon)
                weight.addcdiv_(mean, size, value=-self.learning_rate / (1 - first**step))

    def get_state(self) -> State:
        """Return counts and moments as a state tree."""
        return {"steps": dict(self._steps), "means": to_arrays(self._means), "squares": to_arrays(self._squares)}

    def set_state(self, state: State) -> None:
        """Take on what `get_state` returned."""
        import torch

        self._steps = dict(state["steps"])
        self._means = {name: torch.tensor(mean) for name, mean in state["means"].items()}
        self._squares = {name: torch.tensor(square) for name, square in state["squares"].items()}
