"""The one base of all controllers: ask, tell, report, enqueue, and a state that goes on bit for bit.

A subclass writes `_propose` and `_update` and, if it learns, `_get_state` and `_set_state`. Counters, the table of
pending trials, history, duplicates, generators and validation live here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Generic, Literal, TypeVar, final

from controllers.capabilities import ALL, refuse_domains, refuse_objectives
from controllers.history import History, Record
from controllers.objective import Constraint, Objective
from controllers.pruners import PrunerConfig, make_pruner
from controllers.state import State, derive_seed, generator_state, make_generator, refuse_other, set_generator_state
from controllers.table import Originals, Pending, Proposal
from controllers.trial import Outcome, Status, Trial, TrialError, Verdict
from controllers.warm_start import WarmStart, Warmup
from search_spaces.errors import SpecError, unknown
from search_spaces.space import Space
from search_spaces.spec import Spec, kinds

SCHEMA = 1
DRAWS = 1000
"""Fresh draws that give nothing new before a space counts as exhausted."""
PATIENCE = 10
"""Asks per trial of the budget that may repeat themselves in a row before a controller counts as converged; without a
budget in trials there may be `DRAWS`."""

Duplicates = Literal["cache", "evaluate"]


class ControllerConfig(Spec):
    """What a search file says about who chooses."""

    home: ClassVar[str | None] = "controllers"
    group: ClassVar[str | None] = "deepspace.controllers"


C = TypeVar("C", bound=ControllerConfig)
_CONTROLLERS: dict[type[ControllerConfig], type[Controller[Any]]] = {}


class Controller(ABC, Generic[C]):
    """Chooses candidates and learns from what becomes of them.

    Args:
        config: The settings, an instance of `config_type`.
        space: Where candidates come from.
        objectives: What is wanted, at least one.
        constraints: What must hold of a candidate that may be the best.
        seed: Root seed of the search.
        fidelity: Reports of a full trial.
        budget: Trials that the search may start, if bounded; only to see that the controller has converged.
        duplicates: `cache`: a candidate already asked for is answered by that trial; `evaluate`: it runs again.
        repeats: How often each candidate is evaluated.
        pruner: Who is stopped early; None for nobody.
        warm_start: What is ranked before the controller proposes; None for nothing.

    Raises:
        SpecError: The controller cannot handle a domain or the objectives.
    """

    config_type: ClassVar[type[ControllerConfig]]
    supports: ClassVar[frozenset[str]] = ALL
    """What it can handle: `continuous` domains without bins, `multi_objective` searches."""
    redraws: ClassVar[bool] = False
    """Whether a repeated proposal is drawn anew; then `_propose` changes nothing but `self.rng`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "config_type" in cls.__dict__:
            other = _CONTROLLERS.setdefault(cls.config_type, cls)
            if other.__qualname__ != cls.__qualname__ or other.__module__ != cls.__module__:
                raise TypeError(f"two controllers of {cls.config_type.__name__}: {other.__name__} and {cls.__name__}")

    def __init__(
        self,
        config: C,
        space: Space,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        seed: int = 0,
        *,
        fidelity: int = 1,
        budget: int | None = None,
        duplicates: Duplicates = "cache",
        repeats: int = 1,
        pruner: PrunerConfig | None = None,
        warm_start: WarmStart | None = None,
    ) -> None:
        self.config = config
        self.space = space
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        self.seed = seed
        self.fidelity = fidelity
        self.patience: float = DRAWS if budget is None else PATIENCE * budget
        """Asks that may repeat themselves in a row; a replay, where others have decided when to end, sets it aside."""
        self.duplicates = duplicates
        self.repeats = repeats
        if repeats < 1:
            raise SpecError("each candidate is evaluated at least once", repeats, ">= 1", "repeats")
        self.kind: str = config.to_data()["kind"]
        refuse_objectives(self.kind, self.supports, self.objectives, pruner is not None)
        refuse_domains(self.kind, self.supports, space, config)
        self.rng = make_generator(seed, "controller")
        self._pruner = None if pruner is None else make_pruner(pruner, fidelity)
        self._warmup = None if warm_start is None else Warmup(warm_start, space, seed)
        self._cardinality = space.cardinality()
        watched = [*(o.metric for o in self.objectives), *(c.metric for c in self.constraints)]
        self._watched = tuple(dict.fromkeys(watched))
        self._reset()

    def _reset(self) -> None:
        self._asked = 0
        self._repeated = 0
        self._exhausted = False
        self._queue: list[Proposal] = []
        self._pending: dict[str, Pending] = {}
        self._history = History(self.objectives)
        self._originals = Originals(self.space, self.fidelity)

    # What a subclass writes.

    def _measured(self, record: Record) -> None:  # noqa: B027  (few have a use for it)
        """Take in what a proxy of the warm start measured; it is no result."""

    @abstractmethod
    def _propose(self) -> Proposal | None:
        """Return what to evaluate next; None, with nothing changed, to be told more first."""

    @abstractmethod
    def _update(self, record: Record, memo: State | None) -> None:
        """Learn from a trial that has ended, however it ended.

        Args:
            record: What became of it.
            memo: What `_propose` attached; None for a candidate that was enqueued.
        """

    def _get_state(self) -> State:
        """Return what was learned, as a state tree."""
        return {}

    def _set_state(self, state: State) -> None:
        """Take on what `_get_state` returned."""

    # What everybody calls.

    @final
    def ask(self, n: int = 1) -> list[Trial]:
        """Return at most n trials; fewer means "tell me more first". An empty answer changes no state."""
        trials: list[Trial] = []
        while len(trials) < n and (trial := self._next()) is not None:
            trials.append(trial)
        return trials

    @final
    def enqueue(self, candidate: Mapping[str, Any]) -> None:
        """Have the next ask hand out `candidate` first.

        Raises:
            SpecError: It is no candidate of the space; the path says where.
        """
        before_repeats = sum(proposal.group is None for proposal in self._queue)
        self._queue.insert(before_repeats, Proposal(self.space.candidate(candidate)))

    @final
    def report(self, trial_id: str, step: int, metrics: Mapping[str, float]) -> Verdict:
        """Take in a report of a running trial, and say whether the trial goes on.

        Args:
            trial_id: The trial.
            step: Number of the report, from 1, greater than the one before.
            metrics: What was measured.

        Raises:
            TrialError: The trial is not pending, or the step was reported before.
        """
        entry = self._entry(trial_id)
        if step <= entry.step:
            raise TrialError(f"{trial_id}: reports come in the order of steps; got step {step} after {entry.step}")
        entry.note(step, metrics, self._watched)
        if self._pruner is not None and entry.compared and self.objectives[0].metric in metrics and not entry.stopped:
            entry.stopped = self._pruner.report(trial_id, step, entry.scores(self.objectives)) is Verdict.STOP
        return Verdict.STOP if entry.stopped else Verdict.CONTINUE

    @final
    def judge(self, trial_id: str, outcome: Outcome) -> Record:
        """Return the record that `tell` would make, without telling.

        Args:
            trial_id: A pending trial.
            outcome: How it ended.

        Raises:
            TrialError: The trial is not pending, or is a duplicate whose original has not been told.
        """
        entry = self._entry(trial_id)
        if entry.trial.same_as is not None and outcome.status is not Status.CANCELLED:
            return self._history.copied(entry.trial, outcome)
        return entry.record(outcome, self.objectives, self.constraints)

    @final
    def tell(self, trial_id: str, outcome: Outcome) -> Record:
        """Take in how a trial ended.

        Args:
            trial_id: A pending trial.
            outcome: How it ended; a value that is not finite makes it FAILED.

        Returns:
            What was recorded.

        Raises:
            TrialError: As for `judge`.
        """
        record = self.judge(trial_id, outcome)
        entry = self._pending.pop(trial_id)
        self._history.add(record)
        if self._pruner is not None and entry.compared:
            self._pruner.told(trial_id, record.outcome.status is Status.COMPLETED and record.outcome.source == "run")
        if record.outcome.status is Status.CANCELLED:
            self._originals.forget(record.trial)
        if self._warmup is not None and record.trial.mode == "proxy":
            self._queue += self._warmup.take(record)
            self._measured(record)
        else:
            self._update(record, entry.memo)
        return record

    @property
    def finished(self) -> str | None:
        """Why there is never anything to ask again: `exhausted` or `converged`; None: go on."""
        if self._queue:
            return None
        if self._exhausted:
            return "exhausted"
        if self._repeated >= self.patience:
            return "converged"
        return None

    @property
    def best(self) -> str | None:
        """The trial of the feasible candidate with the best first objective, the earliest of equals."""
        return self._history.best

    @property
    def pareto_front(self) -> tuple[str, ...]:
        """The trials of the feasible candidates that no other dominates, in ask order."""
        return self._history.pareto_front

    @property
    def records(self) -> Mapping[str, Record]:
        """What was told, by trial, in tell order."""
        return self._history.records

    @property
    def pending(self) -> tuple[Trial, ...]:
        """The trials that were asked and not told, in ask order."""
        return tuple(entry.trial for entry in self._pending.values())

    @final
    def state_dict(self) -> State:
        """Return all that the controller's future depends on, as a state tree."""
        return {
            "schema": SCHEMA,
            "space": self.space.fingerprint,
            "kind": self.kind,
            "seed": self.seed,
            "asked": self._asked,
            "repeated": self._repeated,
            "generator": generator_state(self.rng),
            "queue": [proposal.to_data() for proposal in self._queue],
            "pending": [entry.to_data() for entry in self._pending.values()],
            "history": [record.to_data() for record in self.records.values()],
            "pruner": None if self._pruner is None else self._pruner.get_state(),
            "warm_start": None if self._warmup is None else self._warmup.get_state(),
            "learned": self._get_state(),
        }

    @final
    def load_state_dict(self, state: State) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            StateError: The state is of another space, controller or seed; nothing was changed.
        """
        refuse_other(state, SCHEMA, {"space": self.space.fingerprint, "kind": self.kind, "seed": self.seed})
        self._reset()
        self._asked, self._repeated = state["asked"], state["repeated"]
        set_generator_state(self.rng, state["generator"])
        self._queue = [Proposal.from_data(data, self.space) for data in state["queue"]]
        for data in state["history"]:
            self._history.add(Record.from_data(data))
        for data in state["pending"]:
            entry = Pending.from_data(data)
            self._pending[entry.trial.trial_id] = entry
        kept = [r.trial for r in self.records.values() if r.outcome.status is not Status.CANCELLED]
        for trial in sorted([*kept, *self.pending], key=lambda trial: trial.number):
            self._originals.add(trial)
        if self._pruner is not None and state["pruner"] is not None:
            self._pruner.set_state(state["pruner"])
        if self._warmup is not None and state.get("warm_start") is not None:
            self._warmup.set_state(state["warm_start"])
        self._set_state(state["learned"])

    def _entry(self, trial_id: str) -> Pending:
        if trial_id in self._pending:
            return self._pending[trial_id]
        known = "it has ended" if trial_id in self.records else "it was not asked"
        raise TrialError(f"only a pending trial is reported or told, once; got {trial_id!r}: {known}")

    def _next(self) -> Trial | None:
        if self._queue:
            return self._handed_out(self._queue.pop(0))
        if self._warmup is not None and not self._warmup.over:
            proposal = self._warmup.propose()
        else:
            proposal = None if self.finished else self._new()
        return None if proposal is None else self._handed_out(proposal)

    def _new(self) -> Proposal | None:
        """Return a proposal; none, with every trace of it undone, when nothing new is left."""
        if self.duplicates == "evaluate":
            return self._propose()
        used_up = self._cardinality is not None and self._originals.candidates >= self._cardinality
        before = generator_state(self.rng)
        learned = self._get_state() if used_up else None
        proposal: Proposal | None = None
        for _ in range(DRAWS if self.redraws and not used_up else 1):
            proposal = self._propose()
            if proposal is None or self._originals.lack(proposal, used_up):
                self._repeated = 0 if proposal is not None else self._repeated
                return proposal
        if not used_up and not self.redraws:
            self._repeated += 1
            return proposal
        self._exhausted = True
        set_generator_state(self.rng, before)
        if learned is not None:
            self._set_state(learned)
        return None

    def _handed_out(self, proposal: Proposal) -> Trial:
        trial_id = f"t{self._asked:06d}"
        self._asked += 1
        same_as = self._originals.of(proposal) if self.duplicates == "cache" and proposal.group is None else None
        group = proposal.group
        if same_as is not None:
            group = (self._pending[same_as] if same_as in self._pending else self.records[same_as]).trial.group
        elif group is None and self.repeats > 1 and proposal.mode not in ("proxy", "supernet"):
            group = trial_id
            self._queue += [replace(proposal, group=group)] * (self.repeats - 1)
        trial = Trial(
            trial_id,
            proposal.candidate,
            derive_seed(self.seed, "trial", trial_id, bits=32),
            fidelity=self.fidelity if proposal.fidelity is None else proposal.fidelity,
            parent_id=proposal.parent_id,
            inherit=proposal.inherit,
            mode=proposal.mode,
            group=group,
            same_as=same_as,
        )
        self._originals.add(trial)
        self._pending[trial_id] = Pending(trial, proposal.memo)
        return trial


def make_controller(
    config: ControllerConfig,
    space: Space,
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint] = (),
    seed: int = 0,
    **options: Any,
) -> Controller[Any]:
    """Return the controller that `config` describes, found by its class.

    Args:
        config: Its settings.
        space: As for `Controller`, like everything that follows.
        objectives: What is wanted.
        constraints: What must hold.
        seed: Root seed.
        options: The keyword arguments of `Controller`.

    Raises:
        SpecError: No controller has such a config, or it cannot handle the space.
    """
    kinds(ControllerConfig)
    if type(config) not in _CONTROLLERS:
        raise unknown("controller", type(config).__name__, (known.__name__ for known in _CONTROLLERS), "controller")
    return _CONTROLLERS[type(config)](config, space, objectives, constraints, seed, **options)
