"""Search guided by a predictor: a Gaussian process over what was told proposes what promises to be better.

Paper: Jones, Schonlau & Welch, 1998 (expected improvement); White et al., 2019, arXiv 1910.11858 (paths as features,
candidates by mutation of the best).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from controllers.base import ControllerConfig
from controllers.history import Record
from controllers.informed import Informed
from controllers.predictor.acquisition import expected_improvement
from controllers.predictor.features import Array, Encoder, Rows
from controllers.predictor.gaussian import Posterior, fit
from controllers.predictor.kernel import Kernel
from controllers.predictor.lessons import Lesson, Lessons
from controllers.predictor.measures import Measures
from controllers.state import State, make_generator
from controllers.table import Proposal
from controllers.trial import Status
from search_spaces.candidate import Candidate

GROWTH = 1.2
"""How many times as many told trials as at the last fit make the next one."""
MEASURED = 256
"""Candidates that were measured last and are looked at for each proposal."""
Positive = Annotated[int, Field(ge=1)]


class PredictorConfig(ControllerConfig):
    """Search by predicted improvement.

    Args:
        initial: Random candidates before the first prediction.
        parents: Best trials whose neighbours are looked at.
        moves: Neighbours of each.
        mutants: Walks of some moves from one of them, drawn anew for each proposal.
        draws: Random candidates, drawn anew for each proposal.
        points: Told trials that the predictor learns from, at most: half of them the best, the others spread evenly.
        exploration: How many times the deviation of a prediction counts: what was learned from few trials is less sure
            than it seems, since the hyper-parameters are not known either.
        features: Metrics that tell candidates apart, such as those of `proxy` trials; unknown ones count as average.
    """

    kind: Literal["predictor"] = "predictor"
    initial: Annotated[int, Field(ge=2)] = 10
    parents: Positive = 8
    moves: Positive = 32
    mutants: Positive = 24
    draws: Positive = 16
    points: Annotated[int, Field(ge=4)] = 384
    exploration: Annotated[float, Field(gt=0)] = 2.0
    features: tuple[str, ...] = ()


class Predictor(Informed[PredictorConfig]):
    """Proposes what is expected to improve most on the best, among mutants of the best and random candidates.

    Trials that failed or broke a constraint count as worse than all others, and pruned ones as no better than the
    middle: they teach where not to look. Candidates that are being evaluated count as having told what is predicted.
    """

    config_type = PredictorConfig

    def __init__(self, config: PredictorConfig, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        self._encoder = Encoder(self.space)
        rng = make_generator(self.seed, "paths")
        pathed = any(self.space.path_features(self.space.sample(rng)) for _ in range(16))
        self._kernel = Kernel(self._encoder, pathed, len(config.features))
        self._theta: Array = self._kernel.means.copy()
        self._next_fit = config.initial
        # What follows from the records and the seed, and is not saved.
        self._lessons, self._measures = Lessons(), Measures(config.features)
        self._posterior: Posterior | None = None
        self._near: dict[str, list[Candidate]] = {}
        self._barren: tuple[int, int] | None = None

    def _propose(self) -> Proposal:
        now = len(self.records), self._asked
        if self._asked >= self.config.initial and self._lessons.complete >= 2 and self._barren != now:
            for candidate in self._promising():
                if self.is_new(candidate):
                    return Proposal(candidate)
            self._barren = now
        return Proposal(self.space.sample(self.rng))

    def _update(self, record: Record, memo: State | None) -> None:
        self._learn(record)
        if len(self._lessons) >= self._next_fit and self._lessons.complete >= 2:
            self._next_fit = int(GROWTH * len(self._lessons)) + 1
            candidates, values = self._lessons.chosen(self.config.points)
            self._theta = fit(self._kernel, self._theta, self._rows(candidates), values)

    def _measured(self, record: Record) -> None:
        self._learn(record)

    def _learn(self, record: Record) -> None:
        outcome = record.outcome
        if outcome.status is Status.CANCELLED or outcome.source == "cache":
            return
        self._measures.note(record.trial.candidate, outcome.metrics)
        self._posterior = None
        if record.trial.mode == "proxy":
            return
        score = self.score(record) if record.values is not None and record.feasible else -math.inf
        self._lessons.add(Lesson(record.trial.trial_id, record.trial.candidate, score, record.ranked))

    def _promising(self) -> Iterator[Candidate]:
        pool = self._pool()
        posterior = self._known()
        mean, deviation = posterior.predict(self._rows(pool))
        gain = expected_improvement(mean, self.config.exploration * deviation, posterior.best)
        yield from (pool[int(i)] for i in np.argsort(-gain, kind="stable"))

    def _known(self) -> Posterior:
        if self._posterior is None:
            candidates, values = self._lessons.chosen(self.config.points)
            self._posterior = Posterior(self._kernel, self._theta, self._rows(candidates), values)
        pending = [trial.candidate for trial in self.pending if trial.same_as is None]
        return self._posterior.expecting(self._rows(pending)) if pending else self._posterior

    def _rows(self, candidates: Sequence[Candidate]) -> Rows:
        return self._encoder.rows(candidates, self._measures.columns(candidates) if self.config.features else None)

    def _pool(self) -> list[Candidate]:
        config, rng = self.config, self.rng
        parents = self._lessons.best(config.parents)
        self._near = {parent.name: self._near.get(parent.name) or self._around(parent) for parent in parents}
        pool = [near for parent in parents for near in self._near[parent.name]]
        for _ in range(config.mutants):
            near = self._near[parents[int(rng.random() * len(parents))].name]
            mutant = near[int(rng.random() * len(near))] if near else None
            while mutant is not None and (mutant := self.space.neighbour(mutant, rng)) is not None:
                pool.append(mutant)
                if rng.random() < 0.5:
                    break
        pool += [self.space.sample(rng) for _ in range(config.draws)]
        pool += list(self._measures.candidates)[-MEASURED:]
        return list(dict.fromkeys(pool))

    def _around(self, parent: Lesson) -> list[Candidate]:
        # By a generator of its own, so that it need not be saved.
        rng = make_generator(self.seed, "near", parent.name)
        found = [self.space.neighbour(parent.candidate, rng) for _ in range(self.config.moves)]
        return list(dict.fromkeys(near for near in found if near is not None))

    def _get_state(self) -> State:
        return {"theta": self._theta.copy(), "next_fit": self._next_fit}

    def _set_state(self, state: State) -> None:
        self._theta, self._next_fit = np.array(state["theta"]), state["next_fit"]
        self._lessons, self._measures = Lessons(), Measures(self.config.features)
        self._posterior, self._near, self._barren = None, {}, None
        for record in self.records.values():
            self._learn(record)
