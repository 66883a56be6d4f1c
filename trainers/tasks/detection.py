"""Detection of objects in images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from search_spaces.architectures.detector import Detector
from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.anchors import GridAnchors
from search_spaces.blocks.cascade import RegionHead, TwoStage
from search_spaces.blocks.detection import DetectionHead
from search_spaces.blocks.necks import Fpn
from search_spaces.blocks.regions import RoiAlign
from search_spaces.build import Architecture
from search_spaces.errors import SpecError
from search_spaces.recipe import DetectionRecipe
from search_spaces.spec import Hole, Spec
from trainers.data.pictures import DetectionData, DetectionSet
from trainers.data.scenes import Scenes
from trainers.data.splits import Part
from trainers.tasks.base import COSTS, TOTALS, Task, costs, refuse_smoothing
from trainers.tasks.refusals import refuse
from trainers.trial import Report, TrialContext

Shape = tuple[tuple[int, ...], int]
BASELINE = Detector(
    backbone=Resnet(depths=(1, 1, 1), widths=(24, 48, 96), stem="strided"),
    neck=Fpn(width=48, skip=1),
    head=TwoStage(candidates=128, proposals=32, pooling=RoiAlign(size=5, sampling=1), hidden=128),
    anchors=GridAnchors(sizes=(3.0,), scales=(1.0, 2**0.5), ratios=(0.5, 1.0, 2.0)),
)
"""A network that learns the scenes in minutes on two cores."""


class DetectionModel(Spec):
    """A network that finds objects, and how it is trained."""

    architecture: Hole[Architecture] = BASELINE
    recipe: Hole[DetectionRecipe] = DetectionRecipe()

    def check(self) -> None:
        """Refuses a network that finds nothing."""
        if not isinstance(self.architecture, Detector):
            kind = str(self.architecture.to_data()["kind"])
            raise SpecError("detection needs a network that finds objects", kind, "detector", "architecture")


class Detection(Task):
    """Trains a network to find objects and their boxes."""

    model: ClassVar[type[Spec] | None] = DetectionModel
    per_class: ClassVar[str | None] = "val/ap50/"

    kind: Literal["detection"] = "detection"
    data: DetectionData = Scenes()

    def metrics(self) -> tuple[str, ...]:
        """Returns the names of the figures in reports but those of single classes and stages, and of the costs."""
        trained = ("train/loss", "train/class_loss", "train/box_loss", "train/lr")
        return (*trained, "val/loss", "val/ap", "val/ap50", "val/ap75", *TOTALS, *COSTS)

    def open(self) -> DetectionSet:
        """Reads and decodes images and boxes."""
        return self.data.load_boxes()

    def fingerprint(self, data: DetectionSet) -> str:
        """Returns a hash of the images, objects and parts."""
        return data.fingerprint()

    def parts(self, data: DetectionSet) -> NDArray[np.uint8]:
        """Returns the part of every row."""
        return data.parts

    def shape(self, data: DetectionSet) -> Shape:
        """Returns the shape of an image, (C, H, W), and the number of classes."""
        return data.input_shape, len(data.classes)

    def refuse(self, template: Any, shape: Shape) -> None:
        """Refuses label smoothing of one class without background, and tricks that no choice can use."""
        super().refuse(template, shape)
        refuse_smoothing(template, shape[1] + _knows_background(getattr(template, "architecture", None)))
        refuse(self, template, shape)

    def static_metrics(self, spec: DetectionModel, shape: Shape) -> dict[str, float]:
        """Returns parameters, multiply-adds an image, and the bytes of one image's activations."""
        return costs(spec.architecture, shape)

    def run(self, spec: DetectionModel, trial: TrialContext, data: DetectionSet) -> Iterator[Report]:
        """Trains on the training part, judges on the validation part."""
        from trainers.learners.detection import DetectionLearner
        from trainers.loop import train

        self.refuse_mode(trial)

        def make() -> DetectionLearner:
            return DetectionLearner(spec, data, trial.seed, trial.device)

        return train(make, spec.recipe, trial, self.report_every, self.checkpoint_every)

    def final_test(self, spec: DetectionModel, checkpoint: str, data: DetectionSet) -> dict[str, float]:
        """Returns the figures of the test part."""
        from trainers.learners.detection import figures_of_checkpoint

        found = figures_of_checkpoint(spec, checkpoint, data, Part.TEST)
        return {f"test/{name}": value for name, value in found.items()}

    def picture(self, spec: DetectionModel, checkpoint: str, data: DetectionSet) -> bytes:
        """Returns some validation images with their objects in white and what was found in colour."""
        from trainers.learners.detection import finder_of_checkpoint, images_of
        from trainers.previews_detection import detection

        finder = finder_of_checkpoint(spec, checkpoint, data)
        return detection(finder, lambda rows: images_of(spec, data, rows).all(), data)


def _knows_background(architecture: Any) -> bool:
    """Whether the background may be a class of its own in what is learned of the classes, for some choice of a head."""
    head = getattr(architecture, "head", None)
    if isinstance(head, RegionHead) or not isinstance(head, DetectionHead):
        return True
    return head.readings()[-1].scores not in ("sigmoid", "objectness")
