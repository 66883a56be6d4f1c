"""REINFORCE with a moving-average baseline: how a policy learns from rewards.

Paper: Williams, 1992; Zoph & Le, 2017, arXiv 1611.01578, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence

from controllers.rl.adam import Adam
from controllers.rl.policy import Policy, one_thread
from controllers.rl.queries import Depths
from controllers.state import State


class Baseline:
    """Exponential moving average of rewards.

    Args:
        decay: Weight of the past, in [0, 1).

    Deviation: the paper gives no decay and no start, and averages accuracies where rewards are their cubes. Here the
        average is of rewards, as in NASNet (arXiv 1707.07012, A.6), and starts at the mean of the first batch.
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


class ReinforceUpdate:
    """Adam on the estimate (1/m) sum_k sum_t grad log P(a_t | a_<t) (R_k - b).

    Args:
        policy: What learns.
        learning_rate: Of Adam.
        decay: Of the baseline.
    """

    def __init__(self, policy: Policy, learning_rate: float, decay: float) -> None:
        self.policy = policy
        self.baseline = Baseline(decay)
        self._adam = Adam(policy.parameters, learning_rate)

    def update(
        self, tokens: Sequence[Sequence[int]], depths: Sequence[Depths | None], rewards: Sequence[float]
    ) -> None:
        """Take one step.

        Args:
            tokens: Those of the m candidates of a batch.
            depths: What each was held to when it was drawn.
            rewards: What each was worth.
        """
        import torch

        advantages = torch.tensor(self.baseline.advantages(rewards))
        with one_thread():
            log_probs, _ = self.policy.evaluate(tokens, depths)
            if log_probs.requires_grad:  # else the space leaves nothing to choose
                self._adam.minimize(-(log_probs.sum(1) * advantages).mean())

    def get_state(self) -> State:
        """Return the moments of Adam and the baseline as a state tree."""
        return {"adam": self._adam.get_state(), "baseline": self.baseline.value}

    def set_state(self, state: State) -> None:
        """Take on what `get_state` returned."""
        self._adam.set_state(state["adam"])
        self.baseline.value = state["baseline"]
