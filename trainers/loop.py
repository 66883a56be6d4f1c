"""The training loop: a generator of reports, which a checkpoint lets go on bit for bit."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.build import set_progress
from search_spaces.recipe import Recipe, Staged, Trick
from trainers.checkpoint import weights
from trainers.compilation import compile_regions
from trainers.determinism import Generators
from trainers.layout import channels_last
from trainers.learners.base import Learner
from trainers.optim import Phases, restore, set_factor, settle
from trainers.schedules import rate_factor
from trainers.trial import Report, TrialContext, TrialFailed
from trainers.tricks.registry import implementation

__all__ = ["Report", "TrialContext", "TrialFailed", "train"]

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def train(
    make: Callable[[], Learner],
    recipe: Recipe,
    trial: TrialContext,
    report_every: float = 1.0,
    checkpoint_every: int = 1,
    training: Callable[..., Training] | None = None,
) -> Iterator[Report]:
    """Trains, and yields a report whenever one is due.

    Args:
        make: Builds network and data; it may draw from torch's global generator.
        recipe: How to train.
        trial: How far, from where, and where checkpoints go.
        report_every: Epochs a report.
        checkpoint_every: Reports a checkpoint; the last report always has one.
        training: What takes the steps, made as `Training` is; None: `Training` itself.

    Raises:
        TrialFailed: A loss is not finite, or what a checkpoint holds does not fit.
        CheckpointError: The checkpoint to start from cannot be read.
    """
    generators = Generators(trial.seed, trial.device)
    torch.set_num_threads(trial.threads)
    with generators:
        made = (training or Training)(make(), recipe, trial, report_every)
    if (state := trial.load()) is not None:
        _start_from(state, made, generators, trial)
    while not made.over:
        torch.set_num_threads(trial.threads)
        with generators:
            metrics = made.advance()
        start, checkpoint = time.perf_counter(), None
        if made.over or made.step % checkpoint_every == 0:
            checkpoint = trial.save(made.step, made.state_dict() | {"generators": generators.state_dict()})
        metrics["time/checkpoint"] = time.perf_counter() - start
        yield Report(made.step, metrics, checkpoint, done=made.over, payload=made.payload())


def _start_from(state: dict[str, Any], training: Training, generators: Generators, trial: TrialContext) -> None:
    try:
        if trial.continues:
            training.load_state_dict(state)
            generators.load_state_dict(state["generators"])
        else:
            training.load_weights(weights(state))
    except (KeyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise TrialFailed(f"the checkpoint does not fit this candidate: {reason}", training.step + 1) from error


class Training:
    """Everything that changes while a trial trains, and so all that its checkpoint holds.

    Args:
        learner: Network and data.
        recipe: How to train.
        trial: How far, and on what.
        report_every: Epochs a report.
    """

    def __init__(self, learner: Learner, recipe: Recipe, trial: TrialContext, report_every: float) -> None:
        self.learner, self.recipe, self.trial = learner, recipe, trial
        self.network, self.sampler = learner.network, learner.sampler
        self.report_every = report_every
        self.step, self.samples, self.seconds = 0, 0, 0.0
        self.stopped = False
        if recipe.channels_last:
            channels_last(self.network, trial.device)
        for name in ("init", "batch_norm", "dropout", "drop_path"):
            _call(getattr(recipe, name, None), self.network)
        self.changes = any(hasattr(type(module), "set_progress") for module in self.network.modules())
        self.optimizer: Any = implementation(recipe.optimizer)(_trained(learner))
        settle(self.optimizer)
        own = [module.penalty for module in self.network.modules() if hasattr(type(module), "penalty")]
        self.penalties: list[Any] = own
        if recipe.l1 is not None:
            self.penalties.append(_call(recipe.l1, self.network))
        self.ema = _call(recipe.ema, self.network)
        self.stopping = _call(recipe.early_stopping)
        self.stages = (
            _call(recipe.curriculum, self.network, self.optimizer) if isinstance(recipe.curriculum, Staged) else None
        )
        if recipe.compile:
            compile_regions(self.network)
        self.clip = None if recipe.clip is None else implementation(recipe.clip)
        self.device = torch.device(trial.device).type
        self.scaler = torch.amp.GradScaler(self.device, enabled=recipe.precision == "fp16")
        self.iterations = self.sampler.length = self._due(trial.fidelity)
        self.factor = rate_factor(recipe, self.iterations, self.sampler.batches_per_epoch)

    @property
    def over(self) -> bool:
        """Whether the trial has made all its reports, or stopped early."""
        return self.stopped or self.step >= self.trial.fidelity

    def advance(self) -> dict[str, float]:
        """Trains up to the next report and judges.

        Raises:
            TrialFailed: A loss was not finite.
        """
        start = time.perf_counter()
        metrics = self._train(range(self._due(self.step), self._due(self.step + 1)))
        trained = time.perf_counter()
        averaged = nullcontext() if self.ema is None else self.ema.applied(self.learner.constrain)
        with averaged, self._autocast(), self._uncompiled():
            metrics |= self.evaluate()
        ended = time.perf_counter()
        self.step += 1
        self.seconds += ended - start
        self.factor.update(self._due(self.step), metrics)
        if self.stopping is not None:
            self.stopped = self.stopping.update(metrics) or self.stopped
        return metrics | {
            "epoch": self._due(self.step) / self.sampler.batches_per_epoch,
            "samples": float(self.samples),
            "seconds": self.seconds,
            "time/train": trained - start,
            "time/evaluate": ended - trained,
        }

    def before_step(self, iteration: int, batch: Any) -> None:
        """Does what comes before a step of the weights: nothing here.

        Args:
            iteration: Steps taken.
            batch: What the weights are about to learn from.
        """

    def evaluate(self) -> dict[str, float]:
        """Returns the validation figures."""
        return self.learner.evaluate()

    def payload(self) -> Any:
        """Returns what goes to the controller with a report: nothing here."""
        return None

    def _due(self, step: int) -> int:
        """Iterations up to a report: at least one each."""
        return max(step, round(step * self.report_every * self.sampler.batches_per_epoch))

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.recipe.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device, dtype=_DTYPES[self.recipe.precision])

    def _uncompiled(self) -> AbstractContextManager[Any]:
        """Judging is no repeated work: its shapes would be compiled for a few batches."""
        return torch.compiler.set_stance("force_eager") if self.recipe.compile else nullcontext()

    def _train(self, iterations: range) -> dict[str, float]:
        """Takes steps; figures stay on the device until the last, so that none waits for it."""
        self.network.train()
        figures: dict[str, list[Tensor]] = defaultdict(list)
        rate = 0.0
        for iteration in iterations:
            if isinstance(self.optimizer, Phases):
                self.optimizer.set_progress(iteration / self.iterations)
            rate = set_factor(self.optimizer, self.factor(iteration))
            if self.stages is not None:
                self.stages.update(iteration / self.sampler.batches_per_epoch)
            if self.changes:
                set_progress(self.network, iteration / self.iterations)
            batch = self.learner.batch(self.sampler.next())
            self.before_step(iteration, batch)
            with self._autocast():
                loss, others = self.learner.loss(batch)
            for penalty in self.penalties:
                loss = loss + penalty()
            self._update(loss)
            figures["loss"].append(loss.detach())
            for name, value in others.items():
                figures[name].append(value)
        self.samples += len(iterations) * self.sampler.batch_size
        losses = torch.stack(figures["loss"]).double().cpu()
        self._refuse_non_finite(losses, iterations)
        means = {f"train/{name}": torch.stack(values).double().mean().item() for name, values in figures.items()}
        return means | {"train/lr": rate}

    def _update(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.clip is not None:
            self.scaler.unscale_(self.optimizer)
            self.clip(self.network.parameters())
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.learner.constrain()
        if self.ema is not None:
            self.ema.update()

    def _refuse_non_finite(self, losses: Tensor, iterations: range) -> None:
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            first = int(bad[0])
            where = f"iteration {iterations[first] + 1}, epoch {iterations[first] / self.sampler.batches_per_epoch:.2f}"
            raise TrialFailed(f"the loss is {losses[first].item()} at {where}", self.step + 1)

    def state_dict(self) -> dict[str, Any]:
        """Returns all of it."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "optimizer_kind": _kind(self.recipe.optimizer),
            "factor": self.factor.state_dict(),
            "sampler": self.sampler.state_dict(),
            "learner": self.learner.state_dict(),
            "scaler": self.scaler.state_dict(),
            "samples": self.samples,
            "seconds": self.seconds,
            "stopped": self.stopped,
        }
        for name, part in (("ema", self.ema), ("stopping", self.stopping)):
            if part is not None:
                state[name] = part.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes to where a checkpoint was written; what this recipe sets otherwise stays as it says."""
        self.network.load_state_dict(state["network"])
        if state["optimizer_kind"] == _kind(self.recipe.optimizer):
            restore(self.optimizer, state["optimizer"])
        self.factor.load_state_dict(state.get("factor", {"reports": []}))
        self.sampler.load_state_dict(state["sampler"])
        self.learner.load_state_dict(state.get("learner", {}))
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            self.ema.load_state_dict(state.get("ema", {"average": state["network"], "updates": 0}))
        if self.stopping is not None and "stopping" in state:
            self.stopping.load_state_dict(state["stopping"])
            self.stopped = state["stopped"]
        self.step, self.samples, self.seconds = state["step"], state["samples"], state["seconds"]

    def load_weights(self, found: dict[str, Tensor]) -> None:
        """Takes weights alone, as a child does."""
        self.network.load_state_dict(found)
        if self.ema is not None:
            self.ema.load_state_dict({"average": found, "updates": 0})


def _call(trick: Trick | None, *args: Any) -> Any:
    return None if trick is None else implementation(trick)(*args)


def _trained(learner: Learner) -> nn.Module:
    return learner.network if learner.extra is None else nn.ModuleList([learner.network, learner.extra])


def _kind(trick: Trick) -> str:
    kind: str = trick.to_data()["kind"]
    return kind
