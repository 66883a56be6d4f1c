"""Language modelling: the next character or word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from search_spaces.architectures.recurrent import Recurrent
from search_spaces.build import Architecture
from search_spaces.errors import SpecError
from search_spaces.recipe import LanguageRecipe
from search_spaces.spec import Hole, Spec
from trainers.data.splits import Part
from trainers.data.text import Text, TextData, TextSet
from trainers.tasks.base import COSTS, TOTALS, Task, costs, refuse_smoothing
from trainers.tasks.refusals import refuse
from trainers.trial import Report, TrialContext

Shape = tuple[tuple[int, ...], int]
_COUNTED = 64  # tokens that costs are counted for
_FIGURES = ("loss", "accuracy", "perplexity", "bits_per_character")


class LanguageModel(Spec):
    """A network that continues text, and how it is trained."""

    architecture: Hole[Architecture] = Recurrent(layers=1, hidden=128, embedding=64, tied=False)
    recipe: Hole[LanguageRecipe] = LanguageRecipe()

    def check(self) -> None:
        """Refuses networks that do not read tokens."""
        if self.architecture.input_rank != 1:
            kind = str(self.architecture.to_data()["kind"])
            raise SpecError("a language model reads numbers of tokens", kind, "recurrent", "architecture")


class Language(Task):
    """Trains a network to say the next token of a text."""

    model: ClassVar[type[Spec] | None] = LanguageModel

    kind: Literal["language"] = "language"
    data: TextData = Text()

    def metrics(self) -> tuple[str, ...]:
        """Returns the names of all figures in reports, and of the costs."""
        val = tuple(f"val/{name}" for name in _FIGURES)
        return ("train/loss", "train/accuracy", "train/lr", *val, *TOTALS, *COSTS)

    def open(self) -> TextSet:
        """Reads the text and numbers its tokens."""
        return self.data.load()

    def fingerprint(self, data: TextSet) -> str:
        """Returns a hash of the tokens, vocabulary and parts."""
        return data.fingerprint()

    def parts(self, data: TextSet) -> NDArray[np.uint8]:
        """Returns the part of every token."""
        return data.parts

    def shape(self, data: TextSet) -> Shape:
        """Returns the shape of an input, (tokens,), and the size of the vocabulary."""
        return (_COUNTED,), len(data.vocabulary)

    def refuse(self, template: Any, shape: Shape) -> None:
        """Refuses label smoothing where there is one token alone, and tricks that no choice can use."""
        super().refuse(template, shape)
        refuse_smoothing(template, shape[1])
        refuse(self, template, shape)

    def static_metrics(self, spec: LanguageModel, shape: Shape) -> dict[str, float]:
        """Returns parameters, and multiply-adds and bytes of activations of 64 tokens."""
        return costs(spec.architecture, shape)

    def run(self, spec: LanguageModel, trial: TrialContext, data: TextSet) -> Iterator[Report]:
        """Trains on the training part, judges on the validation part."""
        from trainers.learners.language import LanguageLearner
        from trainers.loop import train

        self.refuse_mode(trial)

        def make() -> LanguageLearner:
            return LanguageLearner(spec, data, trial.seed, trial.device, trial.common)

        return train(make, spec.recipe, trial, self.report_every, self.checkpoint_every)

    def final_test(self, spec: LanguageModel, checkpoint: str, data: TextSet) -> dict[str, float]:
        """Returns the figures of the test part."""
        from trainers.learners.language import figures_of_checkpoint

        found = figures_of_checkpoint(spec, checkpoint, data, Part.TEST)
        return {f"test/{name}": value for name, value in found.items()}

    def picture(self, spec: LanguageModel, checkpoint: str, data: TextSet) -> bytes:
        """Returns lines of the validation part, and below each character or word what was expected there."""
        from trainers.learners.language import network_of_checkpoint
        from trainers.previews import language

        return language(network_of_checkpoint(spec, checkpoint, data), data)
