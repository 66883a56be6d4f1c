"""Optimizers and what bounds their step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from search_spaces.domains import Float
from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole

Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0), Float(1e-6, 1e-2, log=True)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Step = Annotated[Rate, Float(1e-5, 1.0, log=True)]


class Optimizer(Trick):
    """How gradients become steps."""


class Sgd(Optimizer):
    """Stochastic gradient descent with momentum.

    Paper: Sutskever et al., On the importance of initialization and momentum in deep learning, 2013.
    """

    kind: Literal["sgd"] = "sgd"
    lr: Hole[Step] = 0.1
    momentum: Hole[Annotated[Fraction, Float(0.8, 0.99)]] = 0.9
    nesterov: Hole[bool] = True
    weight_decay: Hole[Decay] = 5e-4
    decay_bias_and_norm: Hole[bool] = False


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    Paper: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, 1711.05101.
    """

    kind: Literal["adamw"] = "adamw"
    lr: Hole[Step] = 2e-3
    beta1: Hole[Fraction] = 0.9
    beta2: Hole[Fraction] = 0.999
    epsilon: Hole[Rate] = 1e-8
    weight_decay: Hole[Decay] = 0.01
    decay_bias_and_norm: Hole[bool] = False


class Adam(Optimizer):
    """Adam; its weight decay is an L2 penalty, which the moments take in.

    Paper: Kingma and Ba, Adam, 2015, 1412.6980, algorithm 1.
    """

    kind: Literal["adam"] = "adam"
    lr: Hole[Step] = 1e-3
    beta1: Hole[Fraction] = 0.9
    beta2: Hole[Fraction] = 0.999
    epsilon: Hole[Rate] = 1e-8
    weight_decay: Hole[Decay] = 0.0
    decay_bias_and_norm: Hole[bool] = False


class AdaBound(Optimizer):
    """Adam whose rate a weight is clipped to bounds that close in on `final_lr`: Adam at first, SGD at last.

    `amsbound` divides by the largest second moment so far.

    Paper: Luo et al., Adaptive Gradient Methods with Dynamic Bound of Learning Rate, 2019, 1902.09843, algorithm 2.
    """

    kind: Literal["adabound"] = "adabound"
    lr: Hole[Step] = 1e-3
    final_lr: Hole[Annotated[Rate, Float(0.01, 1.0, log=True)]] = 0.1
    gamma: Hole[Annotated[Rate, Float(1e-4, 1e-2, log=True)]] = 1e-3
    beta1: Hole[Fraction] = 0.9
    beta2: Hole[Fraction] = 0.999
    epsilon: Hole[Rate] = 1e-8
    amsbound: Hole[bool] = False
    weight_decay: Hole[Decay] = 5e-4
    decay_bias_and_norm: Hole[bool] = False


class TwoPhase(Optimizer):
    """One optimizer for the first `switch` of training, then another, which starts without moments.

    Paper: Keskar and Socher, Improving Generalization Performance by Switching from Adam to SGD, 2017, 1712.07628.
    """

    kind: Literal["two_phase"] = "two_phase"
    first: Hole[Optimizer] = Adam()
    second: Hole[Optimizer] = Sgd()
    switch: Hole[Annotated[float, Field(ge=0, le=1), Float(0.25, 0.75)]] = 0.5

    def check(self) -> None:
        """Refuses phases of phases."""
        if isinstance(self.first, TwoPhase) or isinstance(self.second, TwoPhase):
            raise ValueError("a phase has one optimizer; got two_phase in two_phase")


class ClipGradients(Trick):
    """Scales the gradient of all weights down to a largest Euclidean norm.

    Paper: Pascanu et al., On the difficulty of training recurrent neural networks, 2013, 1211.5063, algorithm 1.
    """

    kind: Literal["clip_gradients"] = "clip_gradients"
    norm: Hole[Annotated[Rate, Float(0.1, 10.0, log=True)]] = 1.0
