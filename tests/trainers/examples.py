"""A small image set, a small network and short ways to train it, shared by the tests of this folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from search_spaces.architectures.chain import Chain, ConvLayer
from search_spaces.recipe import (
    AdamW,
    ClassificationRecipe,
    ClipGradients,
    Crop,
    Cutout,
    Dropout,
    DropPath,
    EarlyStopping,
    Ema,
    Flip,
    LabelSmoothing,
    Mixup,
)
from trainers.checkpoint import load
from trainers.data.base import ImageSet
from trainers.data.labelled import ClassificationData
from trainers.tasks.classification import Classification, Classifier
from trainers.trial import Report, TrialContext

NETWORK = Chain(
    layers=(ConvLayer(filters=6), ConvLayer(filters=6), ConvLayer(filters=6, inputs=(0, 1))), pool_after=(0,)
)
ALL_TRICKS: Mapping[str, Any] = {
    "optimizer": AdamW(),
    "clip": ClipGradients(),
    "crop": Crop(),
    "flip": Flip(),
    "cutout": Cutout(length=0.25),
    "mix": Mixup(),
    "label_smoothing": LabelSmoothing(),
    "dropout": Dropout(),
    "drop_path": DropPath(),
    "ema": Ema(),
    "early_stopping": EarlyStopping(patience=20, min_delta=0.5),
    "precision": "bf16",
}


class Squares(ClassificationData):
    """Not registered as a kind: it only splits what `squares` makes."""

    val: float = 0.2
    test: float = 0.2


def squares(rows: int = 160, side: int = 8, channels: int = 1) -> ImageSet:
    """Noise with a bright square whose corner tells one of four classes."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 100, (rows, channels, side, side)).astype(np.uint8)
    labels = rng.integers(0, 4, rows)
    half = side // 2
    for image, label in zip(images, labels, strict=True):
        y, x = half * (label // 2), half * (label % 2)
        image[:, y : y + half, x : x + half] += 100
    return Squares().image_set((images, labels), None, ("a", "b", "c", "d"), "squares")


def classifier(**recipe: Any) -> Classifier:
    return Classifier(architecture=NETWORK, recipe=ClassificationRecipe(**{"batch_size": 16, **recipe}))


def run(spec: Classifier, fidelity: int = 3, task: Classification | None = None, **context: Any) -> list[Report]:
    trial = TrialContext("t000001", **{"seed": 5, "fidelity": fidelity, **context})
    return list((task or Classification()).run(spec, trial, squares()))


def final_weights(folder: Path, reports: list[Report]) -> dict[str, torch.Tensor]:
    assert reports[-1].checkpoint is not None
    weights: dict[str, torch.Tensor] = load(str(folder.parent / reports[-1].checkpoint))["network"]
    return weights


def same(a: Any, b: Any) -> bool:
    """Bitwise equality of two states."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


def timeless(value: Any) -> Any:
    """A state or the metrics of a report without what the clock says."""
    return {name: item for name, item in value.items() if name != "seconds" and not name.startswith("time/")}
