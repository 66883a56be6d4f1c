"""The controller of NASNet: a recurrent policy that learns by proximal policy optimization.

Paper: Zoph et al., 2018, arXiv 1707.07012, A.6; Schulman et al., 2017, arXiv 1707.06347.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from controllers.rl.controller import PolicyConfig, PolicyController, Positive
from controllers.rl.learner import Learner
from controllers.rl.policy import Policy

if TYPE_CHECKING:
    from torch import Tensor


class PpoConfig(PolicyConfig):
    """Proximal policy optimization of an LSTM, with the settings of NASNet where it gives any.

    What is not said here is as for every policy.

    Args:
        clip: How far the probability of a choice may move, as a share of what it was when the choice was made, before
            the choice stops to count.
        epochs: Steps that each batch makes.

    Deviation: the paper gives neither `clip` nor `epochs`. 0.2 is the best of Schulman et al., table 1, and 4 lies
        between the 3 and the 10 epochs of their appendix A.
    """

    kind: Literal["ppo"] = "ppo"
    hidden: Positive = 100
    layers: Positive = 1
    init_range: Annotated[float, Field(gt=0)] = 0.1
    learning_rate: Annotated[float, Field(gt=0)] = 3.5e-4
    batch: Positive = 20
    exponent: Annotated[float, Field(gt=0)] = 1.0
    entropy: Annotated[float, Field(ge=0)] = 1e-5
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.2
    epochs: Positive = 4

    def learner(self, policy: Policy) -> PpoUpdate:
        """Return what moves `policy`."""
        return PpoUpdate(policy, self.learning_rate, self.baseline_decay, self.entropy, self.epochs, self.clip)


class PpoUpdate(Learner):
    """Adam on the clipped surrogate, summed over the steps of a candidate.

    With r_t the probability of a choice now over that when it was made, c the clip and A the advantage, a step is worth
    `min(r_t A, clip(r_t, 1 - c, 1 + c) A)`, so that a choice that has already moved by c in the wanted direction moves
    no further, whichever policy made it.

    Args:
        policy: What learns.
        learning_rate: Of Adam.
        decay: Of the baseline.
        entropy: Weight of the entropy.
        epochs: Steps that each batch makes.
        clip: Of the ratio.

    Paper: Schulman et al., 2017, arXiv 1707.06347, equations 7 and 9.
    Deviation: no value function; NASNet has a baseline in its place.
    """

    def __init__(
        self, policy: Policy, learning_rate: float, decay: float, entropy: float, epochs: int, clip: float
    ) -> None:
        super().__init__(policy, learning_rate, decay, entropy, epochs)
        self.clip = clip

    def loss(self, log_probs: Tensor, behaviour: Tensor, advantages: Tensor) -> Tensor:
        """Return minus the surrogate of each candidate."""
        import torch

        ratios = (log_probs - behaviour).exp()
        gains = advantages[:, None]
        surrogate = torch.minimum(ratios * gains, ratios.clamp(1 - self.clip, 1 + self.clip) * gains)
        return -surrogate.sum(1)


class Ppo(PolicyController[PpoConfig]):
    """Samples from an LSTM and moves it towards what was rewarded, by a bounded step from where each sample was drawn.

    Each trial keeps the log-probabilities that it was drawn with until it is told, so that batches may be in flight
    together and an ask waits for none: a sample of an older policy is weighed by its ratio to that policy, and clipped.
    """

    config_type = PpoConfig
