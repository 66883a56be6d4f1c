"""Weights to start from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from search_spaces.domains import Float
from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole

Gain = Annotated[float, Field(gt=0), Float(0.5, 2.0, log=True)]


class Initialization(Trick):
    """How the weights of linear, convolutional and recurrent layers are drawn; biases and norms stay as built."""


class Xavier(Initialization):
    """Variance 2 `gain`^2 / (inputs + outputs).

    Paper: Glorot and Bengio, Understanding the difficulty of training deep feedforward networks, 2010, equation 16.
    """

    kind: Literal["xavier"] = "xavier"
    distribution: Hole[Literal["uniform", "normal"]] = "uniform"
    gain: Hole[Gain] = 1.0


class Kaiming(Initialization):
    """Variance 2 `gain`^2 / inputs, or outputs: as a layer before a rectifier needs.

    Paper: He et al., Delving Deep into Rectifiers, 2015, 1502.01852, equations 10 and 14.
    """

    kind: Literal["kaiming"] = "kaiming"
    distribution: Hole[Literal["uniform", "normal"]] = "normal"
    fan: Hole[Literal["in", "out"]] = "out"
    gain: Hole[Gain] = 1.0


class Orthogonal(Initialization):
    """Orthonormal rows, or columns where there are fewer, times `gain`.

    Paper: Saxe et al., Exact solutions to the nonlinear dynamics of learning, 2014, 1312.6120.
    """

    kind: Literal["orthogonal"] = "orthogonal"
    gain: Hole[Gain] = 1.0


class LayerTransfer(Initialization):
    """Takes the weights of an earlier network with the same names of layers, so that its outputs stay.

    A channel that the earlier network lacks repeats one that it has, and what reads it divides by the repeats; `noise`
    times the spread of a weight breaks the tie. A layer that the earlier network lacks returns its input, where it
    keeps the shape and lies behind a rectifier; a residual block adds nothing. Others stay as built.
    Range worth searching: noise 0 to 0.01.

    Paper: Chen et al., Net2Net, 2016, 1511.05641, sections 2.2 and 2.3.
    Deviation: Channel i repeats channel i modulo their number, not a random one, so that all layers agree on it. A new
        batch norm changes nothing in eval mode; in training it normalises by its batch, whose figures are not known
        before.
    """

    kind: Literal["layer_transfer"] = "layer_transfer"
    path: str
    """Folder `best/` of an earlier search."""
    noise: Hole[Annotated[float, Field(ge=0, le=1), Float(0.0, 0.01)]] = 0.0
