"""What learns an architecture while a supernet's weights are trained, as the loop sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Moment:
    """Where training is when an updater is called.

    Args:
        network: The supernet, in train mode, without gradients that anybody still needs.
        optimizer: Of its weights; groups have their rate, weight decay and momentum of now.
        loss: Takes a batch, returns its scalar loss and scalars by name, such as `accuracy`.
        exact_loss: The same in float32, whatever the recipe's precision.
        batch: What the weights are about to learn from.
        held_out: Returns the next batch that the architecture learns from; each call takes one.
        progress: Share of training done, in [0, 1).
        learns: Whether the architecture is learned yet.
        epoch_ends: Whether this is the last step of an epoch.
    """

    network: Any
    optimizer: Any
    loss: Callable[[Any], tuple[Tensor, dict[str, Tensor]]]
    exact_loss: Callable[[Any], tuple[Tensor, dict[str, Tensor]]]
    batch: Any
    held_out: Callable[[], Any]
    progress: float
    learns: bool
    epoch_ends: bool


class ArchUpdater(Protocol):
    """Learns an architecture inside a `supernet` trial; controllers have them, `cluster` joins them to a trial.

    Its state is part of the trial's checkpoint. Random numbers come from a generator of its own, from the trial's seed.
    """

    def start(self, network: Any, seed: int) -> None:
        """Takes the supernet, on its device, before the first step and before any state is loaded.

        Args:
            network: The supernet.
            seed: Of the trial.
        """

    def before_step(self, moment: Moment) -> None:
        """Learns, where it is time to, and leaves the network as the weights' step shall find it: what it chooses.

        Gradients of weights that it leaves behind are dropped.
        """

    def before_evaluation(self, network: Any) -> None:
        """Sets what the network chooses while it is judged on the validation part."""

    def figures(self) -> Mapping[str, float]:
        """Returns figures since the last report, by their whole name such as `arch/entropy`."""

    @property
    def stopped(self) -> bool:
        """Whether nothing more is worth learning, so that the trial ends with this report."""

    def payload(self) -> Any:
        """Returns what the controller is told: anything JSON-able, such as logits."""

    def state_dict(self) -> dict[str, Any]:
        """Returns what changes in it, the network's logits apart: tensors, numbers, text and containers of them."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts it back."""
