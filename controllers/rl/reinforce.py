"""The controller of NAS-RL: a recurrent policy that learns by REINFORCE.

Paper: Zoph & Le, 2017, arXiv 1611.01578; Williams, 1992.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from controllers.rl.controller import PolicyConfig, PolicyController, Positive
from controllers.rl.learner import Learner
from controllers.rl.policy import Policy

if TYPE_CHECKING:
    from torch import Tensor


class ReinforceConfig(PolicyConfig):
    """REINFORCE on an LSTM, with the settings of NAS-RL where it gives any.

    What is not said here is as for every policy.

    Args:
        learning_rate: Of Adam; the paper has 6e-4 for convolutional networks and 5e-4 for recurrent cells.
        exponent: 3 in the paper for accuracy, 2 for perplexity.
    """

    kind: Literal["reinforce"] = "reinforce"
    hidden: Positive = 35
    layers: Positive = 2
    init_range: Annotated[float, Field(gt=0)] = 0.08
    learning_rate: Annotated[float, Field(gt=0)] = 6e-4
    batch: Positive = 8
    exponent: Annotated[float, Field(gt=0)] = 3.0

    def learner(self, policy: Policy) -> ReinforceUpdate:
        """Return what moves `policy`."""
        return ReinforceUpdate(policy, self.learning_rate, self.baseline_decay, self.entropy)


class ReinforceUpdate(Learner):
    """Adam on the estimate (1/m) sum_k sum_t grad log P(a_t | a_<t) (R_k - b).

    Paper: Zoph & Le, 2017, arXiv 1611.01578, section 3.2.
    """

    def loss(self, log_probs: Tensor, behaviour: Tensor, advantages: Tensor) -> Tensor:
        """Return minus the log-probability of each candidate times its advantage; who drew it does not matter."""
        return -(log_probs.sum(1) * advantages)


class Reinforce(PolicyController[ReinforceConfig]):
    """Samples from an LSTM and moves it towards what was rewarded.

    Trials are taken in tell order, so that a batch may hold samples of an older policy, as in the paper.
    """

    config_type = ReinforceConfig
