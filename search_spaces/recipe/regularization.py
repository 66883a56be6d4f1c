"""What keeps a network from fitting noise: dropped units and paths, averaged weights, an early end."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole

Rate = Annotated[float, Field(ge=0, lt=1)]


class Dropout(Trick):
    """Drops inputs of the network's last linear layer, the rest scaled up.

    Paper: Srivastava et al., Dropout, 2014, 1207.0580 for its first form.
    Deviation: At the classifier alone, so that it fits every architecture.
    """

    kind: Literal["dropout"] = "dropout"
    rate: Hole[Rate] = 0.2


class DropPath(Trick):
    """Drops whole paths of a network that has drop-path layers, at a rate that grows linearly up to `rate`.

    Paper: Zoph et al., Learning Transferable Architectures, 2018, 1707.07012, section A.7 (ScheduledDropPath).
    """

    kind: Literal["drop_path"] = "drop_path"
    rate: Hole[Rate] = 0.3


class Ema(Trick):
    """Judges, and keeps, a moving average of the weights: decay min(`decay`, (1 + t) / (10 + t)) at step t.

    Paper: Tarvainen and Valpola, Mean teachers, 2017, 1703.01780, for the average that is judged.
    """

    kind: Literal["ema"] = "ema"
    decay: Hole[Rate] = 0.99


class EarlyStopping(Trick):
    """Ends a trial after `patience` reports without an improvement by more than `min_delta`."""

    kind: Literal["early_stopping"] = "early_stopping"
    metric: Literal["val/loss", "val/accuracy"] = "val/loss"
    patience: Hole[Annotated[int, Field(ge=1)]] = 10
    min_delta: Hole[Annotated[float, Field(ge=0)]] = 0.0
