"""Semantic segmentation of images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from search_spaces.architectures.resnet import Resnet
from search_spaces.architectures.segmenter import Segmenter
from search_spaces.blocks.decoders import Unet
from search_spaces.build import Architecture
from search_spaces.recipe import SegmentationRecipe
from search_spaces.spec import Hole, Spec
from trainers.data.pictures import SegmentationData, SegmentationSet
from trainers.data.scenes import Scenes
from trainers.data.splits import Part
from trainers.tasks.base import COSTS, TOTALS, Task, costs, refuse_smoothing
from trainers.tasks.refusals import refuse, refuse_outputs
from trainers.trial import Report, TrialContext

Shape = tuple[tuple[int, ...], int]
BASELINE = Segmenter(
    backbone=Resnet(depths=(1, 1, 1), widths=(16, 32, 64), stem="strided", output_stride=8),
    context=None,
    decoder=Unet(width=16),
    aux=(2,),
    edges=True,
)
"""A network that learns the scenes in minutes on two cores."""


class SegmentationModel(Spec):
    """A network that labels pixels, and how it is trained."""

    architecture: Hole[Architecture] = BASELINE
    recipe: Hole[SegmentationRecipe] = SegmentationRecipe()

    def check(self) -> None:
        """Refuses a recipe that asks for outputs that the network does not have."""
        refuse_outputs(self)


class Segmentation(Task):
    """Trains a network to say the class of every pixel."""

    model: ClassVar[type[Spec] | None] = SegmentationModel
    per_class: ClassVar[str | None] = "val/iou/"

    kind: Literal["segmentation"] = "segmentation"
    data: SegmentationData = Scenes()

    def metrics(self) -> tuple[str, ...]:
        """Returns the names of the figures in reports but those of single classes, and of the costs."""
        trained = ("train/loss", "train/pixel_accuracy", "train/lr")
        val = ("val/loss", "val/miou", "val/image_miou", "val/pixel_accuracy")
        return (*trained, *val, *TOTALS, *COSTS)

    def open(self) -> SegmentationSet:
        """Reads and decodes images and masks."""
        return self.data.load_masks()

    def fingerprint(self, data: SegmentationSet) -> str:
        """Returns a hash of the images, masks and parts."""
        return data.fingerprint()

    def parts(self, data: SegmentationSet) -> NDArray[np.uint8]:
        """Returns the part of every row."""
        return data.parts

    def shape(self, data: SegmentationSet) -> Shape:
        """Returns the shape of an image, (C, H, W), and the number of classes."""
        return data.input_shape, len(data.classes)

    def refuse(self, template: Any, shape: Shape) -> None:
        """Refuses label smoothing of one class, and tricks that no choice can use."""
        super().refuse(template, shape)
        refuse_smoothing(template, shape[1])
        refuse(self, template, shape)

    def static_metrics(self, spec: SegmentationModel, shape: Shape) -> dict[str, float]:
        """Returns parameters, multiply-adds an image, and the bytes of one image's activations."""
        return costs(spec.architecture, shape)

    def run(self, spec: SegmentationModel, trial: TrialContext, data: SegmentationSet) -> Iterator[Report]:
        """Trains on the training part, judges on the validation part."""
        from trainers.learners.segmentation import SegmentationLearner
        from trainers.loop import train

        self.refuse_mode(trial)

        def make() -> SegmentationLearner:
            return SegmentationLearner(spec, data, trial.seed, trial.device, trial.common)

        return train(make, spec.recipe, trial, self.report_every, self.checkpoint_every)

    def final_test(self, spec: SegmentationModel, checkpoint: str, data: SegmentationSet) -> dict[str, float]:
        """Returns the figures of the test part."""
        from trainers.learners.segmentation import figures_of_checkpoint

        found = figures_of_checkpoint(spec, checkpoint, data, Part.TEST)
        return {f"test/{name}": value for name, value in found.items()}

    def picture(self, spec: SegmentationModel, checkpoint: str, data: SegmentationSet) -> bytes:
        """Returns some validation images, each beside its mask and what was predicted."""
        from trainers.learners.segmentation import predictor_of_checkpoint
        from trainers.previews import segmentation
        from trainers.tricks.augment import normalized

        return segmentation(predictor_of_checkpoint(spec, checkpoint, data), normalized(spec.recipe, data))
