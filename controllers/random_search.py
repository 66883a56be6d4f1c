"""Random search: every decision uniform over its values, nothing drawn twice."""

from __future__ import annotations

from typing import Literal

from controllers.base import Controller, ControllerConfig
from controllers.history import Record
from controllers.state import State
from controllers.table import Proposal


class RandomConfig(ControllerConfig):
    """Draws candidates at random."""

    kind: Literal["random"] = "random"


class RandomSearch(Controller[RandomConfig]):
    """Draws each candidate independently of what became of the others.

    Paper: Bergstra & Bengio, 2012; NASNet's baseline, arXiv 1707.07012, section 4.4.
    """

    config_type = RandomConfig
    redraws = True

    def _propose(self) -> Proposal:
        return Proposal(self.space.sample(self.rng))

    def _update(self, record: Record, memo: State | None) -> None:
        pass
