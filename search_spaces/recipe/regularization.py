"""What keeps a network from fitting noise: dropped units and paths, penalties, averages, an early end."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.domains import Float, Integer
from search_spaces.recipe.trick import IMAGE_TASKS, Trick
from search_spaces.spec import Hole

Rate = Annotated[float, Field(ge=0, lt=1)]


class Dropout(Trick):
    """Drops inputs of the layer that scores the classes, the rest scaled up; of maps whole channels.

    Paper: Srivastava et al., Dropout, 2014, 1207.0580 for its first form.
    Deviation: At the classifier alone, so that it fits every architecture.
    """

    kind: Literal["dropout"] = "dropout"
    rate: Hole[Annotated[Rate, Float(0.0, 0.6)]] = 0.5


class DropPath(Trick):
    """Drops whole paths of a network that has drop-path layers, at a rate that grows linearly up to `rate`.

    Paper: Zoph et al., Learning Transferable Architectures, 2018, 1707.07012, section A.5 (ScheduledDropPath).
    """

    tasks: ClassVar[frozenset[str]] = IMAGE_TASKS

    kind: Literal["drop_path"] = "drop_path"
    rate: Hole[Annotated[Rate, Float(0.0, 0.5)]] = 0.3


class L1(Trick):
    """Adds `weight` times the sum of absolute weights to the loss; biases and norms only where it says so.

    Paper: Tibshirani, Regression Shrinkage and Selection via the Lasso, 1996.
    """

    kind: Literal["l1"] = "l1"
    weight: Hole[Annotated[float, Field(ge=0), Float(1e-7, 1e-4, log=True)]] = 1e-5
    bias_and_norm: Hole[bool] = False


class BatchNorm(Trick):
    """Settings of the network's batch norms; `sync` takes statistics over the batch of all devices of a trial.

    Paper: Ioffe and Szegedy, Batch Normalization, 2015, 1502.03167; Zhang et al., 2019, 1902.04103, section 3.5 (sync).
    """

    tasks: ClassVar[frozenset[str]] = IMAGE_TASKS

    kind: Literal["batch_norm"] = "batch_norm"
    momentum: Hole[Annotated[float, Field(gt=0, le=1), Float(0.01, 0.3, log=True)]] = 0.1
    epsilon: Hole[Annotated[float, Field(gt=0), Float(1e-5, 1e-3, log=True)]] = 1e-5
    sync: Hole[bool] = False


class Ema(Trick):
    """Judges, and keeps, a moving average of the weights: decay min(`decay`, (1 + t) / (10 + t)) at step t.

    Paper: Tarvainen and Valpola, Mean teachers, 2017, 1703.01780, for the average that is judged.
    """

    kind: Literal["ema"] = "ema"
    decay: Hole[Annotated[Rate, Float(0.9, 0.999)]] = 0.99


class EarlyStopping(Trick):
    """Ends a trial after `patience` reports without an improvement of `metric` by more than `min_delta`.

    Losses, perplexities, errors and bits are to fall, everything else is to rise.

    Paper: Prechelt, Early Stopping - But When?, 1998.
    """

    kind: Literal["early_stopping"] = "early_stopping"
    metric: Annotated[str, Field(pattern="^val/")] = "val/loss"
    patience: Hole[Annotated[int, Field(ge=1), Integer(3, 30)]] = 10
    min_delta: Hole[Annotated[float, Field(ge=0), Float(0.0, 0.01)]] = 0.0
