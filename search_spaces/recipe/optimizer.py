"""Optimizers and what bounds their step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole

Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Optimizer(Trick):
    """How gradients become steps."""


class Sgd(Optimizer):
    """Stochastic gradient descent with momentum.

    Paper: Sutskever et al., On the importance of initialization and momentum in deep learning, 2013.
    """

    kind: Literal["sgd"] = "sgd"
    lr: Hole[Rate] = 0.1
    momentum: Hole[Fraction] = 0.9
    nesterov: Hole[bool] = True
    weight_decay: Hole[Decay] = 5e-4
    decay_bias_and_norm: Hole[bool] = False


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    Paper: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, 1711.05101.
    """

    kind: Literal["adamw"] = "adamw"
    lr: Hole[Rate] = 2e-3
    beta1: Hole[Fraction] = 0.9
    beta2: Hole[Fraction] = 0.999
    epsilon: Hole[Rate] = 1e-8
    weight_decay: Hole[Decay] = 0.05
    decay_bias_and_norm: Hole[bool] = False


class ClipGradients(Trick):
    """Scales the gradient of all weights down to a largest Euclidean norm.

    Paper: Pascanu et al., On the difficulty of training recurrent neural networks, 2013, 1211.5063, algorithm 1.
    """

    kind: Literal["clip_gradients"] = "clip_gradients"
    norm: Hole[Rate] = 1.0
