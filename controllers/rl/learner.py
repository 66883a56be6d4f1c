"""How a policy learns from rewards: a baseline, a loss, Adam. Subclasses say the loss.

Shapes: m candidates, T steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from controllers.rl.adam import Adam
from controllers.rl.batch import Batch
from controllers.rl.policy import Policy, Sample, one_thread
from controllers.rl.queries import Depths
from controllers.state import State

if TYPE_CHECKING:
    from torch import Tensor

Gradients = dict[str, "Tensor"]
T = TypeVar("T")


@dataclass(frozen=True)
class Drawn:
    """What is kept of a sample until its reward is known.

    Args:
        tokens: Its finite choices, (number of tokens,).
        log_probs: Log-probability of each step under the policy that drew it, (T,).
        depths: What every `First` was held to; None for nothing.
    """

    tokens: np.ndarray[Any, Any]
    log_probs: np.ndarray[Any, Any]
    depths: Depths | None

    @classmethod
    def of(cls, sample: Sample, depths: Depths | None) -> Drawn:
        """Return what is kept of `sample`."""
        return cls(np.array(sample.tokens, np.int64), np.array(sample.log_probs), depths)

    def to_data(self) -> State:
        """Return a state tree, the inverse of `from_data`."""
        depths = None if self.depths is None else list(self.depths)
        return {"tokens": self.tokens, "log_probs": self.log_probs, "depths": depths}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Drawn:
        """Return what `to_data` described."""
        return cls(data["tokens"], data["log_probs"], tuple(data["depths"]) if data["depths"] else None)


def split(items: Sequence[T], parts: int) -> list[Sequence[T]]:
    """Return the items in order, in so many parts of as equal a size as can be."""
    return [items[len(items) * i // parts : len(items) * (i + 1) // parts] for i in range(parts)]


class Baseline:
    """Exponential moving average of rewards.

    Args:
        decay: Weight of the past, in [0, 1).

    Paper: Zoph et al., 2018, arXiv 1707.07012, A.6: an average of rewards, with a weight of 0.95.
    Deviation: no paper says how it starts; here at the mean of the first batch. NAS-RL (arXiv 1611.01578) gives no
        decay, and averages accuracies where rewards are their cubes; here the average is of rewards for both.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.value: float | None = None

    def advantages(self, rewards: Sequence[float]) -> list[float]:
        """Return by how much each reward of a batch exceeds the average of those before it, then take them in."""
        before = sum(rewards) / len(rewards) if self.value is None else self.value
        self.value = before
        for reward in rewards:
            self.value = self.decay * self.value + (1 - self.decay) * reward
        return [reward - before for reward in rewards]


@dataclass(frozen=True)
class Part:
    """Some samples of a batch.

    Args:
        drawn: The samples.
        advantages: By how much the reward of each exceeds the baseline.
        of: Number of samples in the whole batch.
    """

    drawn: Sequence[Drawn]
    advantages: Sequence[float]
    of: int


@dataclass(frozen=True)
class Replayed:
    """A part, ready to be scored under any weights; see `Learner.loss`."""

    batch: Batch
    behaviour: Tensor
    advantages: Tensor
    of: int


@dataclass(frozen=True)
class Wanted:
    """A sample to draw.

    Args:
        seed: Of the generator that it is drawn with.
        depths: What every `First` is held to; None for nothing.
    """

    seed: int
    depths: Depths | None


class Replicas(Protocol):
    """Copies of a policy that draw samples and compute gradients, each its part, under the weights of the moment."""

    def draw(self, parts: Sequence[Sequence[Wanted]]) -> list[Sample]:
        """Return the samples of all parts, in order."""

    def take(self, parts: Sequence[Part]) -> None:
        """Take in the parts of the next batch."""

    def gradients(self) -> list[Gradients]:
        """Return the gradients of each part."""


class Learner(ABC):
    """Adam on a loss of what the policy, as it is now, says of samples whose rewards are known.

    Args:
        policy: What learns.
        learning_rate: Of Adam.
        decay: Of the baseline.
        entropy: Weight of the entropy of each step, which is rewarded.
        epochs: Steps that each batch makes.
    """

    def __init__(
        self, policy: Policy, learning_rate: float, decay: float, entropy: float = 0.0, epochs: int = 1
    ) -> None:
        self.policy = policy
        self.baseline = Baseline(decay)
        self.entropy = entropy
        self.epochs = epochs
        self._adam = Adam(policy.parameters, learning_rate)

    @abstractmethod
    def loss(self, log_probs: Tensor, behaviour: Tensor, advantages: Tensor) -> Tensor:
        """Return what is to become small, of each candidate, (m,), the entropy apart.

        Args:
            log_probs: Of each step under the policy as it is, (m, T), zero after the end of a shorter candidate.
            behaviour: Of each step under the policy that drew it, (m, T), likewise.
            advantages: By how much each reward exceeds the baseline, (m,).
        """

    def update(
        self, drawn: Sequence[Drawn], rewards: Sequence[float], parts: int = 1, replicas: Replicas | None = None
    ) -> None:
        """Learn from a batch. The result depends on the number of parts, but not on where their gradients are computed.

        Args:
            drawn: Its m samples.
            rewards: What each was worth.
            parts: Number of parts, in batch order, whose gradients are added up; at most m.
            replicas: Where they are computed; None: here, one after the other.
        """
        advantages = self.baseline.advantages(rewards)
        places = split(range(len(drawn)), parts)
        replicas = replicas or InTurn(self)
        replicas.take([Part([drawn[k] for k in some], [advantages[k] for k in some], len(drawn)) for some in places])
        for _ in range(self.epochs):
            total: Gradients = {}
            for gradients in replicas.gradients():
                for name, gradient in gradients.items():
                    total[name] = total[name] + gradient if name in total else gradient
            self._adam.step(total)

    def replayed(self, part: Part) -> Replayed:
        """Return `part`, ready to be scored."""
        import torch

        batch = Batch(
            self.policy.script, [kept.tokens.tolist() for kept in part.drawn], [kept.depths for kept in part.drawn]
        )
        behaviour = torch.zeros(batch.size, batch.steps)
        for row, kept in zip(behaviour, part.drawn, strict=True):
            row[: len(kept.log_probs)] = torch.tensor(kept.log_probs)
        return Replayed(batch, behaviour, torch.tensor(part.advantages), part.of)

    def gradients(self, part: Replayed) -> Gradients:
        """Return the share of `part` in the gradient of the mean loss, of the weights that the loss depends on."""
        import torch

        log_probs, entropies = self.policy.score(part.batch)
        losses = self.loss(log_probs, part.behaviour, part.advantages) - self.entropy * entropies.sum(1)
        loss = losses.sum() / part.of
        if not loss.requires_grad:  # the space leaves nothing to choose
            return {}
        names, weights = zip(*self.policy.parameters.items(), strict=True)
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        return {name: gradient for name, gradient in zip(names, found, strict=True) if gradient is not None}

    def get_state(self) -> State:
        """Return the moments of Adam and the baseline as a state tree."""
        return {"adam": self._adam.get_state(), "baseline": self.baseline.value}

    def set_state(self, state: State) -> None:
        """Take on what `get_state` returned."""
        self._adam.set_state(state["adam"])
        self.baseline.value = state["baseline"]


class InTurn:
    """No copy: the policy itself, part after part."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._parts: list[Replayed] = []

    def draw(self, parts: Sequence[Sequence[Wanted]]) -> list[Sample]:
        """See `Replicas`."""
        import torch

        policy = self._learner.policy
        with one_thread():
            return [
                policy.sample(torch.Generator().manual_seed(one.seed), one.depths) for part in parts for one in part
            ]

    def take(self, parts: Sequence[Part]) -> None:
        """See `Replicas`."""
        self._parts = [self._learner.replayed(part) for part in parts]

    def gradients(self) -> list[Gradients]:
        """See `Replicas`."""
        with one_thread():
            return [self._learner.gradients(part) for part in self._parts]
