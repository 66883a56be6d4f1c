"""Random search over what a policy chooses: the control of the controllers that learn one."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from controllers.base import Controller, ControllerConfig
from controllers.capabilities import MULTI_OBJECTIVE
from controllers.history import Record
from controllers.rl.controller import Positive
from controllers.state import State
from controllers.table import Proposal
from search_spaces.domains import Choices, Domain, Value


class UniformConfig(ControllerConfig):
    """Draws each finite choice at random.

    Args:
        bins: Values that a continuous domain is seen as; None refuses one.
    """

    kind: Literal["uniform"] = "uniform"
    bins: Positive | None = None


class Uniform(Controller[UniformConfig]):
    """Draws each token of a candidate uniform over the options that are allowed there, nothing twice.

    `random` is uniform over the values of a domain instead. They differ where the choices before say how many are left:
    the first part of a composition is here as often great, with little left for the others, as it is small.

    Paper: Zoph et al., 2018, arXiv 1707.07012, section 4.4: the same decisions, sampled from a uniform distribution.
    """

    config_type = UniformConfig
    supports: ClassVar[frozenset[str]] = frozenset({MULTI_OBJECTIVE})
    redraws = True

    def _propose(self) -> Proposal:
        walk = self.space.walk()
        try:
            point = next(walk)
            while True:
                point = walk.send(self._drawn(point.domain.binned(self.config.bins)))
        except StopIteration as stop:
            return Proposal(stop.value)

    def _drawn(self, domain: Domain[Any]) -> Value:
        prefix: Choices = ()
        while (step := domain.choices(prefix)) is not None:
            allowed = [i for i, free in enumerate(step[1]) if free]
            prefix = (*prefix, allowed[int(self.rng.integers(len(allowed)))])
        return domain.value_of(prefix)

    def _update(self, record: Record, memo: State | None) -> None:
        pass
