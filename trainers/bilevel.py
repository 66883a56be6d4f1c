"""Two levels at once: a step of the architecture on held-out rows, then a step of the weights, in turns.

Paper: Liu et al., 2019, arXiv 1806.09055, section 2.3, algorithm 1; the order within an iteration as in the authors'
code.
"""

from __future__ import annotations

from typing import Any

from search_spaces.errors import SpecError
from search_spaces.recipe import Recipe
from trainers.learners.supernet import SupernetLearner
from trainers.loop import Training
from trainers.optim import begin_at_rest, optimizers
from trainers.supernet import ArchUpdater, Moment
from trainers.trial import TrialContext


class Bilevel(Training):
    """The training of a supernet: the trial's `updater` learns before every step of the weights.

    Args:
        learner: The supernet and its rows.
        recipe: How its weights are trained.
        trial: How far, and who learns the architecture.
        report_every: Epochs a report.

    Raises:
        SpecError: Nobody learns the architecture.
    """

    def __init__(self, learner: SupernetLearner, recipe: Recipe, trial: TrialContext, report_every: float) -> None:
        if trial.updater is None:
            allowed = "a controller such as darts, gdas"
            raise SpecError("a supernet needs a controller that learns inside a trial", trial.mode, allowed, "mode")
        super().__init__(learner, recipe, trial, report_every)
        self.learner: SupernetLearner = learner
        for optimizer in optimizers(self.optimizer):
            begin_at_rest(optimizer)
        self.updater: ArchUpdater = trial.updater
        self.updater.start(self.network, trial.seed)

    def before_step(self, iteration: int, batch: Any) -> None:
        """Lets the architecture learn, and drops the gradients that this leaves behind.

        Args:
            iteration: Steps taken.
            batch: What the weights are about to learn from.
        """
        progress = iteration / self.iterations
        per_epoch = self.sampler.batches_per_epoch
        self.updater.before_step(
            Moment(
                self.network,
                self.optimizer,
                self._autocast_loss,
                self.learner.loss,
                batch,
                self.learner.held_out,
                progress,
                self.learner.splits.architecture_learns(progress),
                (iteration + 1) % per_epoch == 0,
            )
        )

    def _autocast_loss(self, batch: Any) -> Any:
        with self._autocast():
            return self.learner.loss(batch)

    def evaluate(self) -> dict[str, float]:
        """Returns the validation figures of what the updater chooses, and its own."""
        self.updater.before_evaluation(self.network)
        found: dict[str, float] = {**super().evaluate(), **self.updater.figures()}
        self.stopped = self.stopped or self.updater.stopped
        return found

    def payload(self) -> Any:
        """Returns what the updater tells the controller."""
        return self.updater.payload()

    def state_dict(self) -> dict[str, Any]:
        """Returns all that changes, the updater's state included."""
        return super().state_dict() | {"updater": self.updater.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes to where a checkpoint was written."""
        super().load_state_dict(state)
        self.updater.load_state_dict(state["updater"])
