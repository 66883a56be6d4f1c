"""Classification by a supernet: its weights learn from some training rows, its architecture from the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from search_spaces.recipe import ClassificationRecipe, SeparateSplits
from search_spaces.relax import Relaxable
from search_spaces.share import Shareable
from trainers.data.base import ImageSet
from trainers.data.sampler import Sampler
from trainers.data.splits import Part
from trainers.learners.classification import ClassificationLearner, Images
from trainers.trial import ALONE, Common
from trainers.tricks.augment import normalized
from trainers.tricks.batch import Batch
from trainers.tricks.registry import implementation
from trainers.tricks.splits import Splits

if TYPE_CHECKING:
    from trainers.tasks.classification import Classifier

HALVES = SeparateSplits(share=0.5, start=0.0)
"""How the training rows are shared where the recipe does not say it."""


class SupernetLearner(ClassificationLearner):
    """Trains the supernet of a template; arguments as those of `ClassificationLearner`.

    A supernet has no auxiliary heads: deep supervision is for the networks that are found.

    Attributes:
        splits: Which rows are whose, and from when on the architecture learns.
    """

    def __init__(self, spec: Classifier, data: ImageSet, seed: int, device: str, common: Common = ALONE) -> None:
        self.splits: Splits = splits_of(spec.recipe, data)
        super().__init__(spec, data, seed, device, common)
        self._supervise = None
        rows, recipe = self.splits.architecture, spec.recipe
        self._held_out = Images(normalized(recipe, data), rows, device, recipe.channels_last)
        # Another order than that of the weights' rows: the seed's own stream begins with the same draws.
        self._held_sampler = Sampler(np.arange(len(rows)), self.sampler.batch_size, seed + 1, device)

    def _built(self, spec: Classifier, data: ImageSet) -> nn.Module:
        if isinstance(spec.architecture, Shareable):
            return spec.architecture.share(data.input_shape, len(data.classes))
        assert isinstance(spec.architecture, Relaxable)
        return spec.architecture.relax(data.input_shape, len(data.classes))

    def _weight_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.splits.weights

    def _depth_of(self, spec: Classifier, data: ImageSet) -> None:
        return None

    def held_out(self) -> Batch:
        """Returns the next batch that the architecture learns from."""
        return self._batch_of(self._held_out, self._held_sampler.next())

    def state_dict(self) -> dict[str, Any]:
        """Returns what changes in it as training goes on, network and sampler of the weights apart."""
        return super().state_dict() | {"held_out": self._held_sampler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts it back."""
        super().load_state_dict(state)
        self._held_sampler.load_state_dict(state["held_out"])


def splits_of(recipe: ClassificationRecipe, data: ImageSet) -> Splits:
    """Returns the rows of weights and architecture: the recipe's, else halves from the first step on."""
    spec = HALVES if recipe.splits is None else recipe.splits
    found: Splits = implementation(spec)(np.flatnonzero(data.parts == Part.TRAIN))
    return found
