"""Every task as small as it goes: a data set, a network and a way to train it."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from search_spaces.architectures.recurrent import Recurrent
from search_spaces.architectures.resnet import Resnet
from search_spaces.architectures.segmenter import Segmenter
from search_spaces.blocks.context import Aspp
from search_spaces.blocks.decoders import DeepLabV3Plus
from search_spaces.recipe import (
    ClassificationRecipe,
    DetectionRecipe,
    LanguageRecipe,
    Recipe,
    SegmentationRecipe,
)
from search_spaces.spec import Spec
from tests.trainers import detectors
from tests.trainers.examples import NETWORK, squares
from trainers.data.scenes import Scenes
from trainers.data.text import TextSet
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

    def run(self, spec: Any, fidelity: int, **context: Any) -> list[Report]:
        trial = TrialContext("t000001", **{"seed": 5, "fidelity": fidelity, **context})
        return list(self.task.run(spec, trial, _opened(self.open)))


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
