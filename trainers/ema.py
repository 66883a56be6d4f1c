"""Moving average of the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.networks.supernet import LOGITS, Supernet
from search_spaces.recipe import Ema
from trainers.tricks.registry import implements


@implements(Ema)
class WeightAverage:
    """The average of all floating-point weights and buffers of a network; logits of a supernet stay what they are.

    So a supernet is judged, and its architecture told, by the logits that it hands out.
    """

    def __init__(self, spec: Ema, network: nn.Module) -> None:
        self.spec = spec
        self.updates = 0
        state = network.state_dict(keep_vars=True)
        own = {f"{LOGITS}{name}" for name in network.logits} if isinstance(network, Supernet) else set()
        self._live = {
            name: value.detach() for name, value in state.items() if value.is_floating_point() and name not in own
        }
        self.average = {name: value.clone() for name, value in self._live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the weights after a step."""
        decay = min(self.spec.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(list(self.average.values()), list(self._live.values()), 1 - decay)

    @contextmanager
    def applied(self, constrain: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Has the network hold the average inside `with`.

        Args:
            constrain: Puts weights of the network back to where they may be; the average is then what it leaves, so
                that what is judged is what a checkpoint keeps.
        """
        kept = {name: value.clone() for name, value in self._live.items()}
        self._copy(self.average)
        constrain()
        for name, value in self.average.items():
            value.copy_(self._live[name])
        try:
            yield
        finally:
            self._copy(kept)

    @torch.no_grad()
    def _copy(self, values: dict[str, Tensor]) -> None:
        for name, value in self._live.items():
            value.copy_(values[name])

    def state_dict(self) -> dict[str, Any]:
        """Returns the average and the number of updates."""
        return {"average": self.average, "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts the average and the number of updates back."""
        self.updates = state["updates"]
        for name, value in self.average.items():
            value.copy_(state["average"][name])
