"""The updaters of DARTS and GDAS: a step of Adam over a supernet's logits before each step of its weights."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from controllers.gradient.controller import DartsConfig, GdasConfig, GradientConfig
from controllers.gradient.monitor import COLLAPSE, COLLAPSED, SKIPS, entropy, skip_ratio
from controllers.gradient.unrolled import unrolled_gradient
from search_spaces.relax import Logits, Relaxable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_log = logging.getLogger(__name__)


class Moment(Protocol):
    """What is used of the trainers' `Moment`."""

    network: Any
    optimizer: Any
    batch: Any
    progress: float
    learns: bool

    def loss(self, batch: Any) -> tuple[Tensor, Any]:
        """Return the loss of a batch, and figures."""

    def exact_loss(self, batch: Any) -> tuple[Tensor, Any]:
        """Return the same, in float32 at least."""

    def held_out(self) -> Any:
        """Return the next held-out batch."""


class GradientUpdater:
    """Adam over the logits of a supernet, and the watch over them. A subclass writes `_gradient`.

    Args:
        config: The settings.
        architecture: What the logits stand for.
    """

    def __init__(self, config: GradientConfig, architecture: Relaxable) -> None:
        self.config = config
        self.architecture = architecture
        self.stopped = False
        self._losses: list[Tensor] = []
        self._warned = False

    def start(self, network: Any, seed: int) -> None:
        """Takes the supernet."""
        import torch

        self._network = network
        self._names = tuple(network.logits)
        self.logits: tuple[Tensor, ...] = tuple(network.logits.values())
        config = self.config
        self._generator = torch.Generator().manual_seed(seed)
        self._optimizer = torch.optim.Adam(
            self.logits,
            config.learning_rate,
            (config.beta1, config.beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )

    def before_step(self, moment: Moment) -> None:
        """Learns from a held-out batch, then sets what the weights' step mixes."""
        if moment.learns:
            self._choose(moment.progress)
            with learning(self.logits):
                loss, gradients = self._gradient(moment)
            for logits, gradient in zip(self.logits, gradients, strict=True):
                logits.grad = gradient
            self._optimizer.step()
            self._losses.append(loss)
        self._choose(moment.progress)

    def _choose(self, progress: float) -> None:
        """Sets what the network mixes next; the softmax of the logits unless a subclass says more."""
        self._network.choose(None)

    def _gradient(self, moment: Moment) -> tuple[Tensor, Sequence[Tensor]]:
        """Returns the held-out loss, and its gradient to each of the logits, with the weights as they are.

        Paper: Liu et al., 2019, arXiv 1806.09055, section 2.3: xi = 0, the first order approximation.
        """
        import torch

        with frozen(moment.network.parameters()):
            loss, _ = moment.loss(moment.held_out())
            if not loss.requires_grad:  # `none` was sampled on every edge into the last cell
                return loss, [torch.zeros_like(logits) for logits in self.logits]
            return loss.detach(), torch.autograd.grad(loss, self.logits, materialize_grads=True)

    def before_evaluation(self, network: Any) -> None:
        """Judges the softmax mixture."""
        network.choose(None)

    def figures(self) -> Mapping[str, float]:
        """Returns loss, skips and entropy since the last report, and warns once of a collapse."""
        import torch

        logits = self._numbers()
        skips = skip_ratio(self.architecture, logits)
        collapsed = skips >= self.config.skip_limit
        found = {"arch/entropy": entropy(logits), SKIPS: skips, COLLAPSED: float(collapsed)}
        if self._losses:
            found["arch/loss"] = torch.stack(self._losses).double().mean().item()
            self._losses.clear()
        if collapsed and not self._warned:
            self._warned = True
            _log.warning("%s %.2f, skip_limit %.2f: %s", SKIPS, skips, self.config.skip_limit, COLLAPSE)
        self.stopped = self.stopped or (collapsed and self.config.stop_when_collapsed)
        return found

    def payload(self) -> dict[str, Any]:
        """Returns the logits."""
        return {"logits": {name: rows.tolist() for name, rows in self._numbers().items()}}

    def _numbers(self) -> Logits:
        return {
            name: np.array(logits.detach().double().cpu())
            for name, logits in zip(self._names, self.logits, strict=True)
        }

    def state_dict(self) -> dict[str, Any]:
        """Returns the moments of Adam, the generator, and whether a collapse was seen."""
        return {
            "optimizer": self._optimizer.state_dict(),
            "generator": self._generator.get_state(),
            "warned": self._warned,
            "stopped": self.stopped,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts them back."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["generator"])
        self._warned, self.stopped = state["warned"], state["stopped"]


class DartsUpdater(GradientUpdater):
    """First or second order.

    Paper: Liu et al., 2019, arXiv 1806.09055, section 2.3.
    """

    config: DartsConfig

    def _gradient(self, moment: Moment) -> tuple[Tensor, Sequence[Tensor]]:
        if self.config.order == 1:
            return super()._gradient(moment)
        held_out = moment.held_out()
        return unrolled_gradient(
            moment.optimizer, self.logits, lambda: moment.loss(held_out)[0], lambda: moment.exact_loss(moment.batch)[0]
        )


class GdasUpdater(GradientUpdater):
    """One sampled operation an edge, by the straight-through Gumbel softmax; each step draws anew.

    Paper: Dong & Yang, 2019, arXiv 1910.04465, equations 4 to 7.
    """

    config: GdasConfig

    def temperature(self, progress: float) -> float:
        """Returns the temperature of the softmax.

        Args:
            progress: Share of training done.
        """
        start, end = self.config.start_temperature, self.config.end_temperature
        return start + (end - start) * progress

    def _choose(self, progress: float) -> None:
        self._at = progress
        self._network.choose(self._sampled())

    def _sampled(self) -> dict[str, Tensor]:
        return {
            name: gumbel(logits, self.temperature(self._at), self._generator)
            for name, logits in zip(self._names, self.logits, strict=True)
        }

    def _gradient(self, moment: Moment) -> tuple[Tensor, Sequence[Tensor]]:
        moment.network.choose(self._sampled())  # once more, now that the logits take gradients
        return super()._gradient(moment)

    def before_evaluation(self, network: Any) -> None:
        """Judges the operation that each edge prefers."""
        network.choose({name: one_hot(logits, logits) for name, logits in zip(self._names, self.logits, strict=True)})


def gumbel(logits: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """Returns one option a row, drawn by its weight: 1 there and 0 elsewhere, with the gradient of the softmax.

    Args:
        logits: (places, options).
        temperature: Of the softmax that gives the gradient.
        generator: On the CPU.
    """
    import torch

    uniform = torch.rand(logits.shape, generator=generator, dtype=torch.float64).clamp_(min=1e-12)
    noise = (-(-uniform.log()).log()).to(logits)
    soft = ((logits.log_softmax(dim=-1) + noise) / temperature).softmax(dim=-1)
    return one_hot(soft, soft) + (soft - soft.detach())


def one_hot(scores: Tensor, like: Tensor) -> Tensor:
    """Returns 1 at the greatest score of each row, and 0 elsewhere."""
    import torch

    return torch.zeros_like(like).scatter_(-1, scores.argmax(dim=-1, keepdim=True), 1.0).detach()


@contextmanager
def learning(logits: Sequence[Tensor]) -> Iterator[None]:
    """Lets logits take gradients; elsewhere nothing is computed for them."""
    for each in logits:
        each.requires_grad_(True)
    try:
        yield
    finally:
        for each in logits:
            each.requires_grad_(False)


@contextmanager
def frozen(weights: Any) -> Iterator[None]:
    """Has no gradients of weights computed, which are half of the work of a backward pass."""
    held = [weight for weight in weights if weight.requires_grad]
    for weight in held:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in held:
            weight.requires_grad_(True)
