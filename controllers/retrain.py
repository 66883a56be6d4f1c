"""What trains a chosen candidate from scratch: the controller of `deepspace retrain`."""

from __future__ import annotations

from typing import Literal

from controllers.base import Controller, ControllerConfig
from controllers.history import Record
from controllers.state import State
from controllers.table import Proposal


class RetrainConfig(ControllerConfig):
    """Hands out what a space without holes is, to be trained from scratch; `deepspace retrain` writes this.

    Args:
        run: The search whose trial it is.
        trial: The trial.
    """

    kind: Literal["retrain"] = "retrain"
    run: str = ""
    trial: str = ""


class Retrain(Controller[RetrainConfig]):
    """Proposes trials of mode `retrain`; where a space has holes after all, they are filled at random."""

    config_type = RetrainConfig
    redraws = True

    def _propose(self) -> Proposal:
        return Proposal(self.space.sample(self.rng), mode="retrain")

    def _update(self, record: Record, memo: State | None) -> None:
        pass
