"""The default recipe space of each task: every trick that it can use is on or off, and varies within its range.

What excludes one another is the options of one choice, so that it cannot meet: mixup and RICAP, the crops, the
policies. Teachers, members of ensembles and runs to transfer weights from are left out, for they have to be named, and
separate splits, which are of use to networks with weights of their architecture alone.
"""

from __future__ import annotations

from typing import Any, TypeVar

from search_spaces.domains import Categorical, Float, Integer
from search_spaces.recipe.augment import Cutout, Erasing, Normalize
from search_spaces.recipe.boxes import BalancedSampling, Ciou, Diou, Giou, Iou, IouAssignment, SmoothL1
from search_spaces.recipe.color import Color, PcaColor
from search_spaces.recipe.evaluation import MultiScaleTest
from search_spaces.recipe.geometry import (
    CopyPaste,
    Crop,
    Flip,
    IouCrop,
    MultiScale,
    ResizedCrop,
    ResolutionStages,
    Rotation,
    ZoomOut,
)
from search_spaces.recipe.initialization import Kaiming, Orthogonal, Xavier
from search_spaces.recipe.loss import (
    AngularSoftmax,
    ArcFace,
    BoundaryFocal,
    DeepSupervision,
    DualTask,
    EdgeLoss,
    Focal,
    LabelSmoothing,
    UncertaintyWeighting,
)
from search_spaces.recipe.mix import DetectionMixup, Mixup, Ricap
from search_spaces.recipe.optimizer import AdaBound, Adam, AdamW, ClipGradients, Sgd, TwoPhase
from search_spaces.recipe.policy import AutoAugment, RandAugment, TrivialAugment
from search_spaces.recipe.recipe import ClassificationRecipe, DetectionRecipe, LanguageRecipe, SegmentationRecipe
from search_spaces.recipe.regularization import L1, BatchNorm, Dropout, DropPath, EarlyStopping, Ema
from search_spaces.recipe.sampling import BalanceClasses, EasyFirst, OversampleSmall, Staged
from search_spaces.recipe.schedule import (
    Constant,
    ConstantWarmup,
    Cosine,
    CosineRestarts,
    GradualWarmup,
    MultiStepDecay,
    Plateau,
    RateScaling,
    StepDecay,
)
from search_spaces.recipe.suppression import DiouNms, HardNms, SoftNms, WeightedNms
from search_spaces.spec import hole
from search_spaces.template import preset

T = TypeVar("T")


def _one_of(*options: Any) -> Any:
    return hole(Categorical(options))


def _float(low: float, high: float, log: bool = False) -> float:
    return hole(Float(low=low, high=high, log=log))


def _integer(low: int, high: int, step: int = 1) -> int:
    return hole(Integer(low=low, high=high, step=step))


def _shared(epochs: int) -> dict[str, Any]:
    """The choices of every task."""
    sgd = Sgd(lr=_float(0.01, 1.0, log=True), momentum=_float(0.8, 0.99), weight_decay=_float(1e-5, 1e-2, log=True))
    adam = Adam(lr=_float(1e-4, 1e-2, log=True))
    return {
        "batch_size": _one_of(16, 32, 64, 128),
        "optimizer": _one_of(
            sgd,
            adam,
            AdamW(lr=_float(1e-4, 1e-2, log=True), weight_decay=_float(1e-3, 0.2, log=True)),
            AdaBound(
                lr=_float(1e-4, 1e-2, log=True),
                final_lr=_float(0.01, 1.0, log=True),
                gamma=_float(1e-4, 1e-2, log=True),
                amsbound=_one_of(False, True),
            ),
            TwoPhase(first=adam, second=sgd, switch=_float(0.25, 0.75)),
        ),
        "schedule": _one_of(
            Constant(),
            Cosine(final=_float(0.0, 0.1)),
            CosineRestarts(cycles=_integer(2, 4)),
            StepDecay(epochs=_float(max(1.0, epochs / 4), max(2.0, epochs / 2)), gamma=_float(0.1, 0.5)),
            MultiStepDecay(gamma=_float(0.1, 0.5)),
            Plateau(gamma=_float(0.1, 0.5), patience=_integer(2, 10)),
        ),
        "warmup": _one_of(
            None,
            GradualWarmup(epochs=_float(0.5, max(1.0, min(10.0, epochs / 2))), start=_float(0.01, 0.5)),
            ConstantWarmup(factor=_float(0.01, 0.3), iterations=_integer(50, 400, step=50)),
        ),
        "scaling": _one_of(None, RateScaling(rule=_one_of("linear", "sqrt"))),
        "clip": _one_of(None, ClipGradients(norm=_float(0.1, 10.0, log=True))),
        "init": _one_of(
            None,
            Xavier(distribution=_one_of("uniform", "normal")),
            Kaiming(fan=_one_of("in", "out")),
            Orthogonal(),
        ),
        "l1": _one_of(None, L1(weight=_float(1e-7, 1e-4, log=True))),
        "ema": _one_of(None, Ema(decay=_float(0.9, 0.999))),
        "early_stopping": _one_of(None, EarlyStopping(patience=_integer(3, 20))),
    }


def _images(epochs: int) -> dict[str, Any]:
    """The choices of all tasks on images."""
    return _shared(epochs) | {
        "batch_norm": _one_of(None, BatchNorm(momentum=_float(0.01, 0.5, log=True))),
        "drop_path": _one_of(None, DropPath(rate=_float(0.05, 0.5))),
        "normalize": Normalize(statistics=_one_of("dataset", "imagenet", "none")),
        "balance": _one_of(None, BalanceClasses(power=_float(0.0, 1.0))),
        "curriculum": _one_of(
            None,
            EasyFirst(start=_float(0.1, 0.5), epochs=_float(1.0, max(2.0, epochs / 2))),
            Staged(epochs=_float(0.5, max(1.0, epochs / 4)), frozen=_float(0.25, 0.75)),
        ),
        "crop": _one_of(None, _crop(), _resized_crop()),
        "flip": _one_of(None, Flip()),
        "rotation": _one_of(None, Rotation(degrees=_float(1.0, 45.0))),
        "auto": _one_of(
            None,
            AutoAugment(policy=_one_of("cifar10", "imagenet", "svhn")),
            RandAugment(operations=_integer(1, 3), magnitude=_float(1.0, 29.0)),
            TrivialAugment(),
        ),
        "color": _one_of(
            None,
            Color(
                brightness=_float(0.0, 0.8), contrast=_float(0.0, 0.8), saturation=_float(0.0, 0.8), hue=_float(0, 0.1)
            ),
        ),
        "pca_color": _one_of(None, PcaColor(sigma=_float(0.01, 0.5))),
        "scale": _one_of(None, MultiScale(every=_integer(1, 50)), ResolutionStages()),
        "erasing": _one_of(
            None,
            Erasing(p=_float(0.1, 0.9), largest=_float(0.1, 0.4), fill=_one_of("black", "mean", "noise")),
        ),
        "cutout": _one_of(None, Cutout(length=_float(0.125, 0.75))),
        "precision": "float32",
    }


def _crop() -> Crop:
    return Crop(padding=_float(0.0625, 0.25))


def _resized_crop() -> ResizedCrop:
    return ResizedCrop(smallest=_float(0.08, 0.9))


def _smoothing() -> LabelSmoothing:
    return LabelSmoothing(epsilon=_float(0.01, 0.2), variant=_one_of("uniform", "others"))


def _focal() -> Focal:
    return Focal(gamma=_float(0.0, 5.0), alpha=_float(0.1, 0.9))


@preset("recipe-classification")
def recipe_classification(epochs: int = 8, aux: bool = False) -> ClassificationRecipe:
    """Returns the default recipe space of classification.

    Args:
        epochs: That trials run for; what is measured in epochs varies up to a part of them.
        aux: Whether the network has auxiliary heads, which deep supervision needs.
    """
    until = _one_of(0.8, 0.9, 1.0)
    return ClassificationRecipe(
        **_images(epochs),
        dropout=_one_of(None, Dropout(rate=_float(0.05, 0.5))),
        mix=_one_of(None, Mixup(alpha=_float(0.05, 1.0), until=until), Ricap(beta=_float(0.1, 1.0), until=until)),
        label_smoothing=_one_of(None, _smoothing()),
        loss=_one_of(None, _focal()),
        margin=_one_of(
            None,
            ArcFace(scale=_float(8.0, 64.0, log=True), margin=_float(0.1, 0.5), easy=_one_of(False, True)),
            AngularSoftmax(margin=_integer(1, 4)),
        ),
        deep_supervision=_one_of(None, DeepSupervision(weight=_float(0.1, 1.0))) if aux else None,
    )


@preset("recipe-segmentation")
def recipe_segmentation(
    epochs: int = 8, aux: bool = False, edges: bool = False, smoothing: bool = False
) -> SegmentationRecipe:
    """Returns the default recipe space of segmentation.

    Args:
        epochs: That trials run for; what is measured in epochs varies up to a part of them.
        aux: Whether the network has auxiliary heads, which deep supervision needs.
        edges: Whether the network predicts edges, which the edge and dual-task losses need.
        smoothing: Whether labels may be smoothed, which goes with cross-entropy alone, in place of other losses.
    """
    boundary = BoundaryFocal(gamma=_float(0.0, 5.0), weight=_float(1.0, 8.0), bands=_integer(1, 5))
    return SegmentationRecipe(
        **_images(epochs),
        loss=None if smoothing else _one_of(None, _focal(), boundary),
        label_smoothing=_one_of(None, _smoothing()) if smoothing else None,
        deep_supervision=_one_of(None, DeepSupervision(weight=_float(0.1, 1.0))) if aux else None,
        edge_loss=_one_of(None, EdgeLoss(weight=_float(1.0, 40.0, log=True))) if edges else None,
        dual_task=_one_of(None, DualTask(boundary=_float(0.1, 2.0), edge=_float(0.1, 2.0))) if edges else None,
        uncertainty=_one_of(None, UncertaintyWeighting()) if edges else None,
        prediction=_one_of(None, MultiScaleTest()),
    )


@preset("recipe-detection")
def recipe_detection(epochs: int = 8) -> DetectionRecipe:
    """Returns the default recipe space of detection.

    Args:
        epochs: That trials run for; what is measured in epochs varies up to a part of them.
    """
    small = _float(0.1, 0.4)
    box_losses = (Iou, Giou, Diou, Ciou)
    return DetectionRecipe(
        **_images(epochs)
        | {
            "balance": _one_of(
                None, BalanceClasses(power=_float(0.0, 1.0)), OversampleSmall(ratio=_float(2.0, 4.0), small=small)
            ),
            "crop": _one_of(None, _crop(), _resized_crop(), IouCrop()),
        },
        copy_paste=_one_of(None, CopyPaste(copies=_integer(1, 5), small=small)),
        zoom_out=_one_of(None, ZoomOut(largest=_float(1.5, 4.0))),
        mix=_one_of(None, DetectionMixup(alpha=_float(1.0, 2.0), until=_one_of(0.8, 0.9, 1.0))),
        loss=_one_of(None, _focal()),
        box_loss=_one_of(
            SmoothL1(beta=_float(0.1, 1.0, log=True), weight=_float(0.5, 4.0)),
            *(loss(weight=_float(0.5, 4.0)) for loss in box_losses),
        ),
        assignment=IouAssignment(positive=_float(0.5, 0.7), negative=_float(0.3, 0.5)),
        sampling=_one_of(None, BalancedSampling(number=_one_of(64, 128, 256), positive=_float(0.25, 0.5))),
        region_sampling=BalancedSampling(number=_one_of(64, 128), positive=_float(0.25, 0.5)),
        suppression=_one_of(
            HardNms(threshold=_float(0.3, 0.7)),
            SoftNms(form=_one_of("linear", "gaussian")),
            DiouNms(threshold=_float(0.3, 0.7)),
            WeightedNms(threshold=_float(0.3, 0.7)),
        ),
        prediction=_one_of(None, MultiScaleTest()),
    )


@preset("recipe-language")
def recipe_language(epochs: int = 8) -> LanguageRecipe:
    """Returns the default recipe space of language modelling; its dropouts belong to the architecture.

    Args:
        epochs: That trials run for; what is measured in epochs varies up to a part of them.
    """
    return LanguageRecipe(
        **_shared(epochs),
        bptt=_one_of(16, 32, 64, 128),
        curriculum=_one_of(None, Staged(epochs=_float(0.5, max(1.0, epochs / 4)), frozen=_float(0.25, 0.75))),
        label_smoothing=_one_of(None, _smoothing()),
    )
