"""The controllers that sample from a recurrent policy: rewards, batches, growth. They differ in how they learn."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field

from controllers.base import Controller, ControllerConfig
from controllers.history import Record
from controllers.rl.learner import Drawn, InTurn, Learner, Replicas, Wanted, split
from controllers.rl.policy import Policy
from controllers.rl.queries import Depths
from controllers.state import State, derive_seed, make_torch_generator
from controllers.table import Proposal
from controllers.trial import Status
from search_spaces.domains import First
from search_spaces.errors import SpecError
from search_spaces.space import Space

if TYPE_CHECKING:
    import torch

Positive = Annotated[int, Field(ge=1)]


class PolicyConfig(ControllerConfig):
    """What every recurrent policy can be told.

    Args:
        hidden: Units of each LSTM layer.
        layers: LSTM layers.
        init_range: Weights start uniform between minus and plus this.
        learning_rate: Of Adam.
        batch: Told trials that make one update.
        baseline_decay: Weight of the past in the moving average of rewards.
        entropy: Weight of the entropy of each choice, which is rewarded; NAS-RL has none.
        reward: `power`: scale * value**exponent, of an accuracy, or of minus a metric to be minimized;
            `inverse`: scale / value**exponent, of a positive metric to be minimized, such as a perplexity.
        exponent: Of the reward.
        scale: Of the reward; NAS-RL has 80 for perplexity.
        bins: Values that a continuous domain is seen as; None refuses one.
        grow_start: Layers that a `First` may have at the start; None: all of them at once. NAS-RL has 6.
        grow_by: Layers that are added.
        grow_every: Sampled candidates after which they are added.
        grow_exact: Whether the number of layers is held to that limit, rather than chosen up to it.
        replicas: Copies of the policy that share its work, in processes of their own where a search runs on Ray: each
            draws its part of the next `batch` samples, and computes the gradient of its part of a batch. With one,
            each sample is drawn when it is asked for.
    """

    hidden: Positive
    layers: Positive
    init_range: Annotated[float, Field(gt=0)]
    learning_rate: Annotated[float, Field(gt=0)]
    batch: Positive
    baseline_decay: Annotated[float, Field(ge=0, lt=1)] = 0.95
    entropy: Annotated[float, Field(ge=0)] = 0.0
    reward: Literal["power", "inverse"] = "power"
    exponent: Annotated[float, Field(gt=0)]
    scale: Annotated[float, Field(gt=0)] = 1.0
    bins: Positive | None = None
    grow_start: Positive | None = None
    grow_by: Positive = 2
    grow_every: Positive = 1600
    grow_exact: bool = False
    replicas: Positive = 1

    def check(self) -> None:
        """Refuses more replicas than a batch has samples."""
        if self.replicas > self.batch:
            raise SpecError("each replica needs a sample of a batch", self.replicas, f"<= {self.batch}", "replicas")

    @abstractmethod
    def learner(self, policy: Policy) -> Learner:
        """Return what moves `policy`."""

    def policy(self, space: Space, generator: torch.Generator) -> Policy:
        """Return a policy over `space` with weights drawn from `generator`."""
        return Policy(
            space,
            generator,
            hidden=self.hidden,
            layers=self.layers,
            init_range=self.init_range,
            bins=self.bins,
        )

    def depths(self, sampled: int) -> Depths | None:
        """Return what a `First` is held to after `sampled` candidates; None: nothing.

        Paper: Zoph & Le, 2017, arXiv 1611.01578, section 4.1: 6 layers, 2 more every 1,600 samples.
        """
        if self.grow_start is None:
            return None
        limit = self.grow_start + self.grow_by * (sampled // self.grow_every)
        return (limit if self.grow_exact else 0), limit


LARGEST = 1e15
"""Rewards from here on count as unknown: their squares have to be numbers of 32 bits."""
P = TypeVar("P", bound=PolicyConfig)


class PolicyController(Controller[P]):
    """Samples from an LSTM, and has a learner move it once a batch of trials is told.

    A failed or infeasible trial is worth zero, or the lowest reward so far if that is less, and so is one whose reward
    no number of the policy could hold; a pruned one is worth its last value. Until a reward is known nothing is
    learned. Candidates that were enqueued, and cancelled trials, teach nothing: the policy did not draw the ones, and
    nothing is known of the others. A duplicate counts like the trial that it repeats, as it would be trained again in
    the papers. Trials are taken in tell order; an ask never waits for a batch.
    """

    supports: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, config: P, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        if config.reward == "inverse" and self.objectives[0].mode == "max":
            raise SpecError("reward is for a metric to be minimized", "inverse", "power", "controller/reward")
        deepening = any(isinstance(point.domain, First) for point in self.space.points())
        if config.grow_start is not None and not deepening:
            rule = "nothing grows: the space has no searched number of items"
            allowed = "null, or a space with a `first` domain, such as {preset: chain, grow: true}"
            raise SpecError(rule, config.grow_start, allowed, "controller/grow_start")
        self._policy = config.policy(self.space, make_torch_generator(self.seed, "controller", "policy"))
        self._learner = config.learner(self._policy)
        self._replicas: Replicas = InTurn(self._learner)
        self._ahead: list[Proposal] = []
        self._sampled = 0
        self._lowest: float | None = None  # zero or less once a reward is known
        self._batch: list[State] = []

    @property
    def learner(self) -> Learner:
        """What moves the policy."""
        return self._learner

    def distribute(self, replicas: Replicas | None) -> None:
        """Have `replicas` do their parts of the work; None: all is done here. No result depends on it."""
        self._replicas = replicas or InTurn(self._learner)

    def reward(self, record: Record) -> float | None:
        """Return what a trial is worth to the policy; None: no more than any other, see the class."""
        if record.values is None or not record.feasible:
            return None
        (value,) = record.values
        config, score = self.config, self.objectives[0].score(value)
        try:
            if config.reward == "inverse":
                found = config.scale / value**config.exponent if value > 0 else math.inf
            else:
                found = math.copysign(config.scale * abs(score) ** config.exponent, score)
        except ArithmeticError:
            return None
        return found if abs(found) < LARGEST else None

    def _propose(self) -> Proposal:
        if not self._ahead:
            self._ahead = self._draw(1 if self.config.replicas == 1 else self.config.batch)
        self._sampled += 1
        return self._ahead.pop(0)

    def _draw(self, n: int) -> list[Proposal]:
        numbers = range(self._sampled, self._sampled + n)
        # A generator a sample, by its number: who draws it does not matter, and none is to be saved.
        wanted = [
            Wanted(derive_seed(self.seed, "controller", "sample", k, bits=63), self.config.depths(k)) for k in numbers
        ]
        samples = self._replicas.draw(split(wanted, min(n, self.config.replicas)))
        return [
            Proposal(sample.candidate, Drawn.of(sample, one.depths).to_data())
            for sample, one in zip(samples, wanted, strict=True)
        ]

    def _update(self, record: Record, memo: State | None) -> None:
        if memo is None or record.outcome.status is Status.CANCELLED:
            return
        reward = self.reward(record)
        if reward is not None:
            self._lowest = min(self._lowest or 0.0, reward)
        self._batch.append(memo | {"reward": reward})
        if len(self._batch) == self.config.batch:
            batch, self._batch = self._batch, []
            if self._lowest is not None:
                rewards = [self._lowest if kept["reward"] is None else kept["reward"] for kept in batch]
                drawn = [Drawn.from_data(kept) for kept in batch]
                self._learner.update(drawn, rewards, self.config.replicas, self._replicas)

    def _get_state(self) -> State:
        return {
            "policy": self._policy.get_state(),
            "learner": self._learner.get_state(),
            "sampled": self._sampled,
            "lowest": self._lowest,
            "batch": list(self._batch),
            "ahead": [proposal.to_data() for proposal in self._ahead],
        }

    def _set_state(self, state: State) -> None:
        self._policy.set_state(state["policy"])
        self._learner.set_state(state["learner"])
        self._sampled = state["sampled"]
        self._lowest = state["lowest"]
        self._batch = list(state["batch"])
        self._ahead = [Proposal.from_data(data, self.space) for data in state["ahead"]]
