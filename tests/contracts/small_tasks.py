"""Every task as small as it goes: a data set, a network and a way to train it."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from controllers.gradient.controller import DartsConfig
from search_spaces.architectures.darts import darts
from search_spaces.architectures.recurrent import Recurrent
from search_spaces.architectures.resnet import Resnet
from search_spaces.architectures.segmenter import Segmenter
from search_spaces.blocks.context import Aspp
from search_spaces.blocks.decoders import DeepLabV3Plus
from search_spaces.blocks.depth_gates import AdaptiveGate
from search_spaces.build import Architecture, Shape
from search_spaces.errors import SpecError
from search_spaces.recipe import (
    ClassificationRecipe,
    DetectionRecipe,
    LanguageRecipe,
    Recipe,
    SegmentationRecipe,
    Trick,
)
from search_spaces.spec import Spec
from tests.trainers import detectors
from tests.trainers.examples import NETWORK, squares
from trainers.data.scenes import Scenes
from trainers.data.text import TextSet
from trainers.determinism import Generators
from trainers.learners.classification import ClassificationLearner
from trainers.learners.detection import DetectionLearner
from trainers.learners.language import LanguageLearner
from trainers.learners.segmentation import SegmentationLearner
from trainers.tasks.base import Task
from trainers.tasks.classification import Classification, Classifier
from trainers.tasks.detection import Detection, DetectionModel
from trainers.tasks.language import Language, LanguageModel
from trainers.tasks.segmentation import Segmentation, SegmentationModel
from trainers.trial import Report, TrialContext


@dataclass(frozen=True)
class SmallTask:
    """A task with data, network and recipe."""

    task: Task
    open: Callable[[], Any]
    model: type[Spec]
    architecture: Spec
    recipe: type[Recipe]
    settings: Mapping[str, Any]

    def spec(self, **recipe: Any) -> Any:
        settings = {"warmup": None, **self.settings, **recipe}
        return self.model(architecture=self.architecture, recipe=self.recipe(**settings))

    def field(self, trick: Trick) -> str:
        """The field of the recipe that takes a trick."""
        for name in self.recipe.model_fields:
            try:
                if getattr(self.recipe.from_data({name: trick.to_data()}), name) == trick:
                    return name
            except SpecError:
                continue
        raise AssertionError(f"no field of {self.recipe.__name__} takes {trick}")

    def learner(self, **recipe: Any) -> Any:
        """What the loop trains."""
        with Generators(5):
            return LEARNERS[type(self.task)](self.spec(**recipe), _opened(self.open), 5, "cpu")

    def run(self, spec: Any, fidelity: int, **context: Any) -> list[Report]:
        trial = TrialContext("t000001", **{"seed": 5, "fidelity": fidelity, **context})
        return list(self.task.run(spec, trial, _opened(self.open)))


class SupernetTask(SmallTask):
    """One that trains the supernet of its architecture, by first-order DARTS."""

    def run(self, spec: Any, fidelity: int, **context: Any) -> list[Report]:
        updater = DartsConfig(learning_rate=0.02).updater(spec)
        return super().run(spec, fidelity, **{"mode": "supernet", "updater": updater, **context})


@functools.cache
def _opened(make: Callable[[], Any]) -> Any:
    return make()


def _classes() -> Any:
    return squares(rows=60, channels=3)


def _masks() -> Any:
    return Scenes(scenes=30, size=32, val=0.2, test=0.2).load_masks()


def _boxes() -> Any:
    return detectors.scenes(30)


def _text() -> TextSet:
    tokens = np.random.default_rng(0).integers(0, 5, 600).astype(np.int32)
    tokens[1:] = np.where(np.arange(599) % 3 > 0, (tokens[:-1] + 1) % 5, tokens[1:])
    return TextSet(tokens, (0, 400, 500, 600), (400, 100, 100), tuple("abcde"), "character")


SEGMENTER = Segmenter(
    backbone=Resnet(depths=(1, 1), widths=(8, 16), stem="strided"),
    context=Aspp(rates=(1, 2), width=8, dropout=0.0),
    decoder=DeepLabV3Plus(low_width=8, width=8),
    aux=(0,),
    edges=True,
)
LEARNERS: dict[type[Task], Any] = {
    Classification: ClassificationLearner,
    Segmentation: SegmentationLearner,
    Detection: DetectionLearner,
    Language: LanguageLearner,
}
SMALL: dict[str, SmallTask] = {
    "classification": SmallTask(
        Classification(), _classes, Classifier, NETWORK, ClassificationRecipe, {"batch_size": 12}
    ),
    "segmentation": SmallTask(
        Segmentation(), _masks, SegmentationModel, SEGMENTER, SegmentationRecipe, {"batch_size": 6}
    ),
    "detection": SmallTask(
        Detection(), _boxes, DetectionModel, detectors.network(), DetectionRecipe, {"batch_size": 6}
    ),
    "language": SmallTask(
        Language(),
        _text,
        LanguageModel,
        Recurrent(layers=1, hidden=12, embedding=8, tied=False),
        LanguageRecipe,
        {"batch_size": 4, "bptt": 16},
    ),
}


class Supervised(Architecture):
    """A small classifier with an auxiliary head, which no architecture of the project for whole images has."""

    kind: Literal["supervised-for-tests"] = "supervised-for-tests"

    def gives(self, output: str) -> bool:
        return output == "aux"

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        return SupervisedNetwork(input_shape[0], outputs)


class SupervisedNetwork(nn.Module):
    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, 6, 3), nn.BatchNorm2d(6)
        self.aux, self.head = nn.Linear(6, outputs), nn.Linear(12, outputs)

    def forward(self, images: torch.Tensor) -> Any:
        maps = self.norm(self.conv(images)).relu()
        low, high = maps.mean((2, 3)), maps.amax((2, 3))
        out = self.head(torch.cat([low, high], 1))
        return {"out": out, "aux": self.aux(low)} if self.training else out


# Networks for tricks that need what those of the small tasks do not have: an output, or another head.
NETWORKS: dict[tuple[str, str], Spec] = {
    ("pairwise_distillation", "classification"): Resnet(depths=(1,), widths=(6,), stem="cifar"),
    ("deep_supervision", "classification"): Supervised(),
    ("separate_splits", "classification"): darts(layers=3, channels=2, nodes=1),
    ("target_rate", "classification"): Resnet(depths=(2,), widths=(6,), stem="cifar", gate=AdaptiveGate()),
    ("skip_penalty", "classification"): Resnet(depths=(2,), widths=(6,), stem="cifar", gate=AdaptiveGate()),
    ("dropout", "detection"): detectors.network(detectors.TWO),
    ("guided_loss", "detection"): detectors.network(detectors.GUIDED),
    ("cascade_loss", "detection"): detectors.network(detectors.CASCADE),
}


def small_task(task: str, trick: type[Trick]) -> SmallTask:
    """Returns a task with a network that has what a trick needs."""
    kind = str(trick.model_fields["kind"].default) if "kind" in trick.model_fields else ""
    made = replace(SMALL[task], architecture=NETWORKS.get((kind, task), SMALL[task].architecture))
    return SupernetTask(**vars(made)) if kind == "separate_splits" else made
