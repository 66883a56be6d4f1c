"""Replicas of a policy as actors of Ray, for a search whose one controller would be its bottleneck.

Paper: Zoph & Le, 2017, arXiv 1611.01578, section 4.1: K replicas of the controller draw children and compute gradients.
Deviation: the paper's replicas send theirs to parameter servers whenever they are ready. Here the gradients of one
    batch meet in the driver, in the order of its parts: there is one set of weights, and a search goes on bit for bit,
    whatever became of the actors.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from controllers.base import Controller
from controllers.rl.controller import PolicyConfig, PolicyController
from controllers.rl.learner import InTurn, Learner, Part, Wanted
from controllers.state import State, make_torch_generator, to_arrays
from search_spaces.space import Space

if TYPE_CHECKING:
    from controllers.rl.learner import Gradients
    from controllers.rl.policy import Sample

_log = logging.getLogger(__name__)


class Replica:
    """One copy of the policy, in a process of its own.

    Args:
        config: Of the controller.
        space: Of the search.
    """

    def __init__(self, config: PolicyConfig, space: Space) -> None:
        self._learner = config.learner(config.policy(space, make_torch_generator(0)))
        self._here = InTurn(self._learner)

    def draw(self, weights: State, wanted: Sequence[Wanted]) -> list[Sample]:
        """Return samples drawn under `weights`."""
        self._learner.policy.set_state(weights)
        return self._here.draw([wanted])

    def take(self, part: Part) -> None:
        """Take in a part of the next batch."""
        self._here.take([part])

    def gradients(self, weights: State) -> State:
        """Return the gradients of the part under `weights`, name -> array."""
        self._learner.policy.set_state(weights)
        return dict(to_arrays(self._here.gradients()[0]))


class RayReplicas:
    """As many replicas as the config says.

    Should one be lost, the driver does all the work itself from then on, with the same result.

    Args:
        config: Of the controller.
        space: Of the search.
        learner: The controller's own.
    """

    def __init__(self, config: PolicyConfig, space: Space, learner: Learner) -> None:
        import ray

        self._learner = learner
        self._here = InTurn(learner)
        self._parts: Sequence[Part] = ()
        # They work while trials wait for them: no processor is set aside.
        remote = ray.remote(num_cpus=0)(Replica)
        self._actors = [remote.remote(config, space) for _ in range(config.replicas)]

    def draw(self, parts: Sequence[Sequence[Wanted]]) -> list[Sample]:
        """See `Replicas`."""
        weights = self._learner.policy.get_state()
        found = self._asked("draw", [(weights, part) for part in parts])
        return self._here.draw(parts) if found is None else [sample for part in found for sample in part]

    def take(self, parts: Sequence[Part]) -> None:
        """See `Replicas`."""
        self._parts = parts
        self._asked("take", [(part,) for part in parts])

    def gradients(self) -> list[Gradients]:
        """See `Replicas`."""
        import torch

        weights = self._learner.policy.get_state()
        found = self._asked("gradients", [(weights,) for _ in self._parts])
        if found is not None:
            return [{name: torch.tensor(array) for name, array in part.items()} for part in found]
        self._here.take(self._parts)
        return self._here.gradients()

    def end(self) -> None:
        """End the actors."""
        import ray

        for actor in self._actors:
            ray.kill(actor)  # type: ignore[arg-type]
        self._actors = []

    def _asked(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any] | None:
        """Return what the actors answer, each to its arguments; None once one is lost."""
        import ray
        from ray.exceptions import RayActorError

        if not self._actors:
            return None
        try:
            calls = [getattr(actor, name) for actor in self._actors]
            return list(ray.get([call.remote(*given) for call, given in zip(calls, arguments, strict=True)]))
        except RayActorError as error:
            _log.warning("a replica of the controller is lost, its work is done here: %s", str(error).splitlines()[0])
            self.end()
            return None


@contextlib.contextmanager
def distributed(controller: Controller[Any]) -> Iterator[None]:
    """Has a controller that wants replicas work through them, on the Ray that runs, and ends them.

    Args:
        controller: Of any kind.
    """
    if not isinstance(controller, PolicyController) or controller.config.replicas == 1:
        yield
        return
    replicas = RayReplicas(controller.config, controller.space, controller.learner)
    controller.distribute(replicas)
    try:
        yield
    finally:
        controller.distribute(None)
        replicas.end()
