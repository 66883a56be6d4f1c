"""Small scenes and a small text, small networks and short ways to train them, shared by the tests of these tasks."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from search_spaces.architectures.recurrent import Recurrent
from search_spaces.architectures.resnet import Resnet
from search_spaces.architectures.segmenter import Segmenter
from search_spaces.blocks.decoders import DeepLabV3Plus
from search_spaces.recipe import (
    ClipGradients,
    Crop,
    Cutout,
    DeepSupervision,
    DropPath,
    DualTask,
    EdgeLoss,
    Ema,
    Flip,
    LabelSmoothing,
    LanguageRecipe,
    MultiScaleTest,
    SegmentationRecipe,
    Sgd,
    UncertaintyWeighting,
)
from trainers.data.pictures import SegmentationSet
from trainers.data.scenes import Scenes
from trainers.data.splits import Part
from trainers.data.text import Text, TextSet
from trainers.tasks.language import Language, LanguageModel
from trainers.tasks.segmentation import Segmentation, SegmentationModel
from trainers.trial import Report, TrialContext

SEGMENTER = Segmenter(
    backbone=Resnet(depths=(1, 1), widths=(8, 12), stem="strided", output_stride=4),
    context=None,
    decoder=DeepLabV3Plus(low_width=4, width=8),
    aux=(1,),
    edges=True,
)
RECURRENT = Recurrent(layers=2, hidden=12, embedding=8, tied=False, layer_dropout=0.1)
PIXEL_TRICKS: Mapping[str, Any] = {
    "clip": ClipGradients(),
    "crop": Crop(),
    "flip": Flip(),
    "cutout": Cutout(length=0.25),
    "label_smoothing": LabelSmoothing(),
    "deep_supervision": DeepSupervision(),
    "edge_loss": EdgeLoss(weight=1.0),
    "dual_task": DualTask(),
    "uncertainty": UncertaintyWeighting(),
    "prediction": MultiScaleTest(scales=(1.0, 0.5)),
    "drop_path": DropPath(),
    "ema": Ema(),
    "precision": "bf16",
}
TOKEN_TRICKS: Mapping[str, Any] = {
    "optimizer": Sgd(lr=1.0),
    "label_smoothing": LabelSmoothing(),
    "ema": Ema(),
    "precision": "bf16",
}


@functools.cache
def scenes() -> SegmentationSet:
    return Scenes(scenes=48, size=32, objects=2).load_masks()


@functools.cache
def patches() -> SegmentationSet:
    """Noise with a red and a green patch, which are classes of their own."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 120, (90, 3, 24, 24)).astype(np.uint8)
    masks = np.zeros((90, 24, 24), dtype=np.uint8)
    for image, mask in zip(images, masks, strict=True):
        for channel in (0, 1):
            y, x = rng.integers(0, 14, 2)
            image[channel, y : y + 10, x : x + 10] += 100
            mask[y : y + 10, x : x + 10] = channel + 1
    data = Scenes(scenes=90)
    parts = data.parts({Part.TRAIN: 90})
    mean, std = data.measure(images, parts, "patches")
    return SegmentationSet(
        images=images, masks=masks, parts=parts, mean=mean, std=std, classes=("none", "red", "green")
    )


@functools.cache
def text() -> TextSet:
    return Text(limit=3000).load()


def segmenter(**recipe: Any) -> SegmentationModel:
    return SegmentationModel(architecture=SEGMENTER, recipe=SegmentationRecipe(**{"batch_size": 8, **recipe}))


def language_model(**recipe: Any) -> LanguageModel:
    small = {"batch_size": 4, "bptt": 16, **recipe}
    return LanguageModel(architecture=RECURRENT, recipe=LanguageRecipe(**small))


def segment(spec: SegmentationModel, fidelity: int = 2, **context: Any) -> list[Report]:
    trial = TrialContext("t000001", **{"seed": 5, "fidelity": fidelity, **context})
    return list(Segmentation().run(spec, trial, scenes()))


def read(spec: LanguageModel, fidelity: int = 2, report_every: float = 1.0, **context: Any) -> list[Report]:
    trial = TrialContext("t000001", **{"seed": 5, "fidelity": fidelity, **context})
    return list(Language(report_every=report_every).run(spec, trial, text()))
