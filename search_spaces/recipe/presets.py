"""The default recipe space of each task: every trick that it can use is on or off, and varies within its range.

What excludes one another is the options of one choice, so that it cannot meet: mixup and RICAP, the crops, the
policies. Ranges are those of the specs' fields; what is measured in epochs ends at a part of the trial's. A teacher and
a run to transfer weights from have to be named, so that they are arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from search_spaces.domains import Categorical, Float
from search_spaces.recipe.augment import Cutout, Erasing, Normalize
from search_spaces.recipe.boxes import (
    BalancedSampling,
    Ciou,
    Diou,
    Giou,
    HardNegatives,
    Iou,
    IouAssignment,
    LooseAssignment,
    ScaleCompensation,
    SmoothL1,
)
from search_spaces.recipe.color import Color, PcaColor
from search_spaces.recipe.distillation import (
    Distillation,
    HolisticDistillation,
    PairwiseDistillation,
    SoftDistillation,
    Teacher,
)
from search_spaces.recipe.ensemble import Ensemble
from search_spaces.recipe.evaluation import MultiScaleTest
from search_spaces.recipe.gates import SkipPenalty, TargetRate
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
from search_spaces.recipe.initialization import Kaiming, LayerTransfer, Orthogonal, Xavier
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
from search_spaces.recipe.ranges import ranges, varied
from search_spaces.recipe.recipe import (
    ClassificationRecipe,
    DetectionRecipe,
    LanguageRecipe,
    Recipe,
    SegmentationRecipe,
)
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
from search_spaces.recipe.splits import SeparateSplits
from search_spaces.recipe.suppression import DiouNms, HardNms, SoftNms, WeightedNms
from search_spaces.recipe.trick import Trick
from search_spaces.spec import hole
from search_spaces.template import preset

TeacherData = Teacher | Mapping[str, Any] | None
TransferData = Mapping[str, Any] | None
# What each form of soft suppression does not read.
_UNREAD: dict[str, dict[str, float]] = {"linear": {"sigma": 0.5}, "gaussian": {"threshold": 0.3}}


def _one_of(*options: Any) -> Any:
    return hole(Categorical(options))


def _maybe(*tricks: type[Trick]) -> Any:
    """None, or one of some tricks, each varied."""
    return _one_of(None, *_each(*tricks))


def _each(*tricks: type[Trick]) -> tuple[Trick, ...]:
    return tuple(varied(trick) for trick in tricks)


def _of(spec: type[Recipe], name: str) -> Any:
    return hole(ranges(spec)[name])


def _lasting(spec: type[Trick], low: float, high: float, **given: Any) -> Any:
    """A varied trick whose `epochs` lie between two numbers, as far as its range has them."""
    whole = ranges(spec)["epochs"]
    assert isinstance(whole, Float)
    low, high = max(low, whole.low), min(high, whole.high)
    return varied(spec, epochs=hole(replace(whole, low=low, high=high) if low < high else whole), **given)


def _shared(spec: type[Recipe], epochs: int, transfer: TransferData, accuracy: bool) -> dict[str, Any]:
    """The choices of every task.

    Args:
        spec: The recipe.
        epochs: Of a trial.
        transfer: Fields of `LayerTransfer`; None: no weights are taken from a run.
        accuracy: Whether the task reports a training accuracy, which may end a warmup.
    """
    error = {} if accuracy else {"error": None}
    starts = (None, *_each(Xavier, Kaiming, Orthogonal))
    return {
        "batch_size": _of(spec, "batch_size"),
        "optimizer": _one_of(
            *_each(Sgd, Adam, AdamW, AdaBound), varied(TwoPhase, first=varied(Adam), second=varied(Sgd))
        ),
        "schedule": _one_of(
            Constant(),
            varied(Cosine),
            varied(CosineRestarts),
            _lasting(StepDecay, max(1.0, epochs / 4), max(2.0, epochs / 2)),
            varied(MultiStepDecay),
            varied(Plateau),
        ),
        "warmup": _one_of(None, _lasting(GradualWarmup, 0.0, max(1.0, epochs / 2)), varied(ConstantWarmup, **error)),
        "scaling": _maybe(RateScaling),
        "clip": _maybe(ClipGradients),
        "init": _one_of(*starts) if transfer is None else _one_of(*starts, varied(LayerTransfer, **transfer)),
        "l1": _maybe(L1),
        "dropout": _maybe(Dropout),
        "ema": _maybe(Ema),
        "early_stopping": _maybe(EarlyStopping),
    }


def _images(spec: type[Recipe], epochs: int, transfer: TransferData, accuracy: bool = False) -> dict[str, Any]:
    """The choices of all tasks on images; arguments as above."""
    return _shared(spec, epochs, transfer, accuracy) | {
        "batch_norm": _maybe(BatchNorm),
        "drop_path": _maybe(DropPath),
        "normalize": varied(Normalize),
        "balance": _maybe(BalanceClasses),
        "curriculum": _one_of(None, _lasting(EasyFirst, 1.0, max(2.0, epochs / 2)), _staged(epochs)),
        "crop": _maybe(Crop, ResizedCrop),
        "flip": _maybe(Flip),
        "rotation": _maybe(Rotation),
        "auto": _maybe(AutoAugment, RandAugment, TrivialAugment),
        "color": _maybe(Color),
        "pca_color": _maybe(PcaColor),
        "scale": _maybe(MultiScale, ResolutionStages),
        "erasing": _maybe(Erasing),
        "cutout": _maybe(Cutout),
        "label_smoothing": _maybe(LabelSmoothing),
        "prediction": _maybe(MultiScaleTest),
    }


def _staged(epochs: int) -> Any:
    return _lasting(Staged, 0.5, max(1.0, epochs / 4))


def _taught(teacher: TeacherData, *kinds: type[Distillation]) -> Any:
    """None, or one of some distillations from a teacher, where there is one."""
    if teacher is None:
        return None
    teachers = (Teacher.from_data(teacher),)
    return _one_of(None, *(varied(kind, teachers=teachers, average="mean") for kind in kinds))


def _asked(teacher: TeacherData) -> Any:
    """None, or an ensemble with a teacher, where there is one."""
    return None if teacher is None else _one_of(None, varied(Ensemble, members=(Teacher.from_data(teacher),)))


@preset("recipe-classification")
def recipe_classification(
    epochs: int = 8,
    aux: bool = False,
    maps: bool = False,
    gates: bool = False,
    teacher: TeacherData = None,
    transfer: TransferData = None,
    splits: bool = False,
) -> ClassificationRecipe:
    """Returns the default recipe space of classification.

    Args:
        epochs: That trials run for; what is measured in epochs varies up to a part of them.
        aux: Whether the network has auxiliary heads, which deep supervision needs.
        maps: Whether network and teacher return feature maps, which pair-wise distillation needs.
        gates: Whether the network leaves out units, whose gates then have a price.
        teacher: A network to learn from: an earlier run, or one that is trained first; None: no distillation.
        transfer: `path`, the folder `best/` of an earlier run, whose weights a trial may start from.
        splits: Whether a supernet is trained, whose rows are shared between its weights and its architecture.
    """
    kinds = (SoftDistillation, PairwiseDistillation) if maps else (SoftDistillation,)
    return ClassificationRecipe(
        **_images(ClassificationRecipe, epochs, transfer, accuracy=True),
        distillation=_taught(teacher, *kinds),
        ensemble=_asked(teacher),
        mix=_maybe(Mixup, Ricap),
        loss=_maybe(Focal),
        margin=_maybe(ArcFace, AngularSoftmax),
        deep_supervision=_maybe(DeepSupervision) if aux else None,
        gates=_maybe(TargetRate, SkipPenalty) if gates else None,
        splits=_maybe(SeparateSplits) if splits else None,
    )


@preset("recipe-segmentation")
def recipe_segmentation(
    epochs: int = 8,
    aux: bool = True,
    edges: bool = True,
    teacher: TeacherData = None,
    transfer: TransferData = None,
) -> SegmentationRecipe:
    """Returns the default recipe space of segmentation.

    Args:
        epochs: That trials run for; what is measured in epochs varies up to a part of them.
        aux: Whether the network has auxiliary heads, which deep supervision needs.
        edges: Whether the network predicts edges, which the edge and dual-task losses need.
        teacher: A network to learn from: an earlier run, or one that is trained first; None: no distillation.
        transfer: `path`, the folder `best/` of an earlier run, whose weights a trial may start from.
    """
    return SegmentationRecipe(
        **_images(SegmentationRecipe, epochs, transfer),
        distillation=_taught(teacher, SoftDistillation, PairwiseDistillation, HolisticDistillation),
        ensemble=_asked(teacher),
        loss=_maybe(Focal, BoundaryFocal),
        deep_supervision=_maybe(DeepSupervision) if aux else None,
        edge_loss=_maybe(EdgeLoss) if edges else None,
        dual_task=_maybe(DualTask) if edges else None,
        uncertainty=_maybe(UncertaintyWeighting),
    )


@preset("recipe-detection")
def recipe_detection(epochs: int = 8, transfer: TransferData = None) -> DetectionRecipe:
    """Returns the default recipe space of detection.

    Args:
        epochs: That trials run for; what is measured in epochs varies up to a part of them.
        transfer: `path`, the folder `best/` of an earlier run, whose weights a trial may start from.
    """
    soft = {form: varied(SoftNms, form=form, **fixed) for form, fixed in _UNREAD.items()}
    suppressions = {"hard_nms": varied(HardNms)} | {f"soft_nms_{form}": spec for form, spec in soft.items()}
    return DetectionRecipe(
        **_images(DetectionRecipe, epochs, transfer)
        | {"balance": _maybe(BalanceClasses, OversampleSmall), "crop": _maybe(Crop, ResizedCrop, IouCrop)},
        copy_paste=_maybe(CopyPaste),
        zoom_out=_maybe(ZoomOut),
        mix=_maybe(DetectionMixup),
        loss=_maybe(Focal),
        box_loss=_one_of(*_each(SmoothL1, Iou, Giou, Diou, Ciou)),
        uncertainty=_maybe(UncertaintyWeighting),
        assignment=_one_of(*_each(IouAssignment, LooseAssignment, ScaleCompensation)),
        sampling=_maybe(BalancedSampling, HardNegatives),
        region_sampling=varied(BalancedSampling),
        suppression=hole(
            Categorical({**suppressions, "diou_nms": varied(DiouNms), "weighted_nms": varied(WeightedNms)})
        ),
    )


@preset("recipe-language")
def recipe_language(epochs: int = 8, teacher: TeacherData = None, transfer: TransferData = None) -> LanguageRecipe:
    """Returns the default recipe space of language modelling; further dropouts belong to the architecture.

    Args:
        epochs: That trials run for; what is measured in epochs varies up to a part of them.
        teacher: A network to learn from: an earlier run, or one that is trained first; None: no distillation.
        transfer: `path`, the folder `best/` of an earlier run, whose weights a trial may start from.
    """
    return LanguageRecipe(
        **_shared(LanguageRecipe, epochs, transfer, accuracy=True),
        distillation=_taught(teacher, SoftDistillation),
        bptt=_of(LanguageRecipe, "bptt"),
        curriculum=_one_of(None, _staged(epochs)),
        label_smoothing=_maybe(LabelSmoothing),
    )
