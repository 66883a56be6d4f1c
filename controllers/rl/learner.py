"""How a policy learns from rewards: a baseline, a loss, Adam. Subclasses say the loss.

Shapes: m candidates, T steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from controllers.rl.adam import Adam
from controllers.rl.batch import Batch
from controllers.rl.policy import Policy, Sample, one_thread
from controllers.rl.queries import Depths
from controllers.state import State

if TYPE_CHECKING:
    from torch import Tensor


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


class Learner(ABC):
    """Adam on a loss of what the policy, as it is now, says of samples whose rewards are known.

    Args:
        policy: What learns.
        learning_rate: Of Adam.
        decay: Of the baseline.
        epochs: Steps that each batch makes.
    """

    def __init__(self, policy: Policy, learning_rate: float, decay: float, epochs: int = 1) -> None:
        self.policy = policy
        self.baseline = Baseline(decay)
        self.epochs = epochs
        self._adam = Adam(policy.parameters, learning_rate)

    @abstractmethod
    def loss(self, log_probs: Tensor, entropies: Tensor, behaviour: Tensor, advantages: Tensor) -> Tensor:
        """Return what is to become small, of each candidate, (m,).

        Args:
            log_probs: Of each step under the policy as it is, (m, T), zero after the end of a shorter candidate.
            entropies: Of each step, (m, T), likewise.
            behaviour: Of each step under the policy that drew it, (m, T), likewise.
            advantages: By how much each reward exceeds the baseline, (m,).
        """

    def update(self, drawn: Sequence[Drawn], rewards: Sequence[float]) -> None:
        """Learn from a batch.

        Args:
            drawn: Its m samples.
            rewards: What each was worth.
        """
        import torch

        advantages = torch.tensor(self.baseline.advantages(rewards))
        batch = Batch(self.policy.script, [kept.tokens for kept in drawn], [kept.depths for kept in drawn])
        behaviour = torch.zeros(batch.size, batch.steps)
        for row, kept in zip(behaviour, drawn, strict=True):
            row[: len(kept.log_probs)] = torch.from_numpy(kept.log_probs)
        with one_thread():
            for _ in range(self.epochs):
                loss = self.loss(*self.policy.score(batch), behaviour, advantages).mean()
                if loss.requires_grad:  # else the space leaves nothing to choose
                    self._adam.minimize(loss)

    def get_state(self) -> State:
        """Return the moments of Adam and the baseline as a state tree."""
        return {"adam": self._adam.get_state(), "baseline": self.baseline.value}

    def set_state(self, state: State) -> None:
        """Take on what `get_state` returned."""
        self._adam.set_state(state["adam"])
        self.baseline.value = state["baseline"]
