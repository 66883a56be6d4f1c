"""Classification of images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from search_spaces.architectures.resnet import Resnet
from search_spaces.build import Architecture
from search_spaces.errors import SpecError
from search_spaces.recipe import ClassificationRecipe
from search_spaces.spec import Hole, Spec
from trainers.data.base import ImageSet
from trainers.data.digits import Digits
from trainers.data.labelled import ClassificationData
from trainers.data.splits import Part
from trainers.tasks.base import COSTS, TOTALS, Task, costs, refuse_smoothing
from trainers.tasks.refusals import refuse, refuse_outputs
from trainers.trial import Report, TrialContext

Shape = tuple[tuple[int, ...], int]
PROXIES = ("proxy/grad_norm", "proxy/jacob_cov", "proxy/nwot", "proxy/snip", "proxy/synflow")
"""What a trial in mode `proxy` reports."""
BASELINE = Resnet(depths=(1, 1, 1), widths=(16, 32, 64), stem="cifar")
"""A network that learns the digits in seconds on two cores."""


class Classifier(Spec):
    """A network and how it is trained."""

    architecture: Hole[Architecture] = BASELINE
    recipe: Hole[ClassificationRecipe] = ClassificationRecipe()

    def check(self) -> None:
        """Refuses networks that do not read images, and a recipe that asks for outputs that they do not have."""
        if self.architecture.input_rank != 3:
            kind = str(self.architecture.to_data()["kind"])
            raise SpecError("a classifier reads images", kind, "resnet, chain", "architecture")
        refuse_outputs(self)


class Classification(Task):
    """Trains a network to tell the classes of a data set apart."""

    model: ClassVar[type[Spec] | None] = Classifier
    modes: ClassVar[tuple[str, ...]] = ("train", "retrain", "supernet")
    pooled: ClassVar[tuple[str, ...]] = ("proxy",)

    kind: Literal["classification"] = "classification"
    data: ClassificationData = Digits()

    def metrics(self) -> tuple[str, ...]:
        """Returns the names of all figures in reports, and of the costs."""
        trained = ("train/loss", "train/accuracy", "train/lr", "val/loss", "val/accuracy", "val/macs")
        return (*trained, *TOTALS, *COSTS, *PROXIES)

    def open(self) -> ImageSet:
        """Reads and decodes the images."""
        return self.data.load()

    def fingerprint(self, data: ImageSet) -> str:
        """Returns a hash of the images, labels and parts."""
        return data.fingerprint()

    def parts(self, data: ImageSet) -> NDArray[np.uint8]:
        """Returns the part of every row."""
        return data.parts

    def shape(self, data: ImageSet) -> Shape:
        """Returns the shape of an image, (C, H, W), and the number of classes."""
        return data.input_shape, len(data.classes)

    def refuse(self, template: Any, shape: Shape) -> None:
        """Refuses label smoothing of one class, and tricks that no choice can use."""
        super().refuse(template, shape)
        refuse_smoothing(template, shape[1])
        refuse(self, template, shape)

    def static_metrics(self, spec: Classifier, shape: Shape) -> dict[str, float]:
        """Returns parameters, multiply-adds an image, and the bytes of one image's activations."""
        return costs(spec.architecture, shape)

    def run(self, spec: Classifier, trial: TrialContext, data: ImageSet) -> Iterator[Report]:
        """Trains on the training part, judges on the validation part.

        In mode `supernet` all choices at once; a `proxy` only looks at a few images.
        """
        from trainers.learners.classification import ClassificationLearner
        from trainers.loop import train
        from trainers.proxies import score

        if trial.mode == "proxy":
            return score(spec, trial, data)
        self.refuse_mode(trial)
        kind: type[ClassificationLearner] = ClassificationLearner
        training: Any = None
        if trial.mode == "supernet":
            from trainers.bilevel import Bilevel
            from trainers.learners.supernet import SupernetLearner

            kind, training = SupernetLearner, Bilevel

        def make() -> ClassificationLearner:
            return kind(spec, data, trial.seed, trial.device, trial.common)

        return train(make, spec.recipe, trial, self.report_every, self.checkpoint_every, training)

    def final_test(self, spec: Classifier, checkpoint: str, data: ImageSet) -> dict[str, float]:
        """Returns loss, accuracy and average multiply-adds on the test part."""
        from trainers.learners.classification import figures_of_checkpoint

        found = figures_of_checkpoint(spec, checkpoint, data, Part.TEST)
        return {f"test/{name}": value for name, value in found.items()}

    def picture(self, spec: Classifier, checkpoint: str, data: ImageSet) -> bytes:
        """Returns some validation images, each with its class and the class that was predicted."""
        from trainers.learners.classification import predictor_of_checkpoint
        from trainers.previews import classification
        from trainers.tricks.augment import normalized

        return classification(predictor_of_checkpoint(spec, checkpoint, data), normalized(spec.recipe, data))
