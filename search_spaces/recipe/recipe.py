"""The whole training recipe of each task: one field a trick, None where it is off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from search_spaces.domains import Categorical
from search_spaces.errors import SpecError
from search_spaces.messages import located
from search_spaces.recipe.augment import Cutout, Erasing, Normalize
from search_spaces.recipe.boxes import (
    Assignment,
    BalancedSampling,
    BoxLoss,
    CascadeLoss,
    GuidedLoss,
    IouAssignment,
    Sampling,
    SmoothL1,
)
from search_spaces.recipe.color import Color, PcaColor
from search_spaces.recipe.distillation import Distillation
from search_spaces.recipe.ensemble import Ensemble
from search_spaces.recipe.evaluation import Prediction
from search_spaces.recipe.gates import GateLoss
from search_spaces.recipe.geometry import CopyPaste, Cropping, Flip, Resizing, Rotation, ZoomOut
from search_spaces.recipe.initialization import Initialization
from search_spaces.recipe.loss import (
    DeepSupervision,
    DualTask,
    EdgeLoss,
    Focal,
    LabelSmoothing,
    Loss,
    Margin,
    UncertaintyWeighting,
)
from search_spaces.recipe.mix import Mix
from search_spaces.recipe.optimizer import AdamW, ClipGradients, Optimizer, Sgd
from search_spaces.recipe.policy import Policy
from search_spaces.recipe.regularization import L1, BatchNorm, Dropout, DropPath, EarlyStopping, Ema
from search_spaces.recipe.sampling import Balance, Curriculum
from search_spaces.recipe.schedule import Cosine, GradualWarmup, RateScaling, Schedule, Warmup
from search_spaces.recipe.splits import SeparateSplits
from search_spaces.recipe.suppression import HardNms, Suppression
from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole, Spec, kinds, specs

Batch = Annotated[int, Field(ge=1), Categorical((16, 32, 64, 128))]
SmallBatch = Annotated[int, Field(ge=1), Categorical((8, 16, 32, 64))]


class Recipe(Spec):
    """How a network is trained, as far as all tasks agree."""

    task: ClassVar[str | None] = None
    """Name of the task whose recipe it is; tricks for other tasks are refused."""

    batch_size: Hole[Batch] = 64
    optimizer: Hole[Optimizer] = Sgd()
    schedule: Hole[Schedule] = Cosine()
    warmup: Hole[Warmup | None] = GradualWarmup(epochs=1.0)
    """Shorter than by itself, for trials are short."""
    scaling: Hole[RateScaling | None] = None
    clip: Hole[ClipGradients | None] = None

    init: Hole[Initialization | None] = None
    l1: Hole[L1 | None] = None
    dropout: Hole[Dropout | None] = None
    ema: Hole[Ema | None] = None
    early_stopping: Hole[EarlyStopping | None] = None
    distillation: Hole[Distillation | None] = None
    curriculum: Hole[Curriculum | None] = None

    precision: Hole[Literal["float32", "bf16", "fp16"]] = "float32"
    channels_last: Hole[bool] = True
    compile: Hole[bool] = False
    """Compile the repeated parts of the network, which needs a C++ compiler and pays off in long trainings alone."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_fields_of_others(cls, data: Any) -> Any:
        if cls.task is not None and isinstance(data, Mapping):
            for name in sorted(set(map(str, data)) - set(cls.model_fields)):
                if owners := [str(other.task) for other in _RECIPES if name in other.model_fields]:
                    raise located(cls, _foreign(name, owners, cls.task))
        return data

    @model_validator(mode="after")
    def _refuse_tricks_of_others(self) -> Self:
        for path, trick in specs(self):
            if isinstance(trick, Trick) and self.task is not None and self.task not in trick.tasks:
                kind = str(trick.to_data()["kind"])
                offered = [name for name, spec in kinds(type(trick).__mro__[1]).items() if _fits(spec, self.task)]
                raise located(type(self), _foreign(kind, sorted(trick.tasks), self.task, offered, path))
        return self


class ImageRecipe(Recipe):
    """What all tasks on images share."""

    ORDER: ClassVar[tuple[str, ...]] = (
        "normalize",
        "copy_paste",
        "zoom_out",
        "crop",
        "flip",
        "rotation",
        "auto",
        "color",
        "pca_color",
        "scale",
        "erasing",
        "cutout",
        "mix",
    )
    """The order in which a batch is changed; the one place that says it. A recipe skips what it has no field for.

    Images are normalised as they are read, and labels are smoothed before all other changes, so that `mix` mixes
    smoothed labels.
    """

    normalize: Hole[Normalize] = Normalize()
    balance: Hole[Balance | None] = None
    batch_norm: Hole[BatchNorm | None] = None
    drop_path: Hole[DropPath | None] = None

    crop: Hole[Cropping | None] = None
    flip: Hole[Flip | None] = None
    rotation: Hole[Rotation | None] = None
    auto: Hole[Policy | None] = None
    color: Hole[Color | None] = None
    pca_color: Hole[PcaColor | None] = None
    scale: Hole[Resizing | None] = None
    erasing: Hole[Erasing | None] = None
    cutout: Hole[Cutout | None] = None


class ClassificationRecipe(ImageRecipe):
    """How a network learns to tell classes apart."""

    task: ClassVar[str | None] = "classification"

    mix: Hole[Mix | None] = None
    label_smoothing: Hole[LabelSmoothing | None] = None
    loss: Hole[Loss | None] = None
    """None: cross-entropy."""
    margin: Hole[Margin | None] = None
    deep_supervision: Hole[DeepSupervision | None] = None
    gates: Hole[GateLoss | None] = None
    """What open gates of a network of dynamic depth cost; without gates it is not used."""
    splits: Hole[SeparateSplits | None] = None
    """Which rows a supernet's weights learn from, and which its architecture; None: halves. Others learn from all."""
    prediction: Hole[Prediction | None] = None
    ensemble: Hole[Ensemble | None] = None


class SegmentationRecipe(ImageRecipe):
    """How a network learns the class of every pixel."""

    task: ClassVar[str | None] = "segmentation"

    batch_size: Hole[SmallBatch] = 8
    optimizer: Hole[Optimizer] = AdamW(lr=4e-3, weight_decay=0.01)

    loss: Hole[Loss | None] = None
    """None: cross-entropy."""
    label_smoothing: Hole[LabelSmoothing | None] = None
    deep_supervision: Hole[DeepSupervision | None] = None
    edge_loss: Hole[EdgeLoss | None] = None
    dual_task: Hole[DualTask | None] = None
    uncertainty: Hole[UncertaintyWeighting | None] = None
    prediction: Hole[Prediction | None] = None
    ensemble: Hole[Ensemble | None] = None


class DetectionRecipe(ImageRecipe):
    """How a network learns to find objects."""

    task: ClassVar[str | None] = "detection"

    batch_size: Hole[SmallBatch] = 16
    optimizer: Hole[Optimizer] = AdamW(lr=2e-3, weight_decay=0.05)
    clip: Hole[ClipGradients | None] = ClipGradients(norm=10.0)

    copy_paste: Hole[CopyPaste | None] = None
    zoom_out: Hole[ZoomOut | None] = None
    mix: Hole[Mix | None] = None

    loss: Hole[Loss | None] = Focal()
    """Of the classes of anchors; None: cross-entropy. Stages that look at regions have cross-entropy of all classes."""
    label_smoothing: Hole[LabelSmoothing | None] = None
    """Of anchors with an object; where the background is a class of its own, as in later stages, of all that counts."""
    box_loss: Hole[BoxLoss] = SmoothL1()
    uncertainty: Hole[UncertaintyWeighting | None] = None
    assignment: Hole[Assignment] = IouAssignment()
    sampling: Hole[Sampling | None] = None
    guided: Hole[GuidedLoss] = GuidedLoss()
    """Of a guided head, or of guided proposals; without one it is not used."""
    region_assignment: Hole[Assignment] = IouAssignment(positive=0.5, negative=0.5, low_quality=False)
    """Of the proposals of a second stage; without one it is not used, nor is `region_sampling`."""
    region_sampling: Hole[BalancedSampling] = BalancedSampling(number=128, positive=0.25)
    cascade: Hole[CascadeLoss] = CascadeLoss()
    """Of the stages behind a second one, a semantic branch and masks; without them it is not used."""
    suppression: Hole[Suppression] = HardNms()
    prediction: Hole[Prediction | None] = None


class LanguageRecipe(Recipe):
    """How a network learns to continue text."""

    task: ClassVar[str | None] = "language"

    batch_size: Hole[Batch] = 32
    optimizer: Hole[Optimizer] = AdamW(lr=4e-3, weight_decay=1e-3)
    clip: Hole[ClipGradients | None] = ClipGradients()
    bptt: Hole[Annotated[int, Field(ge=1), Categorical((16, 32, 64, 128))]] = 64
    """Tokens that gradients flow back through; the state of the network goes on behind them."""
    label_smoothing: Hole[LabelSmoothing | None] = None


_RECIPES = (ClassificationRecipe, SegmentationRecipe, DetectionRecipe, LanguageRecipe)


def _fits(spec: type[Spec], task: str) -> bool:
    return issubclass(spec, Trick) and task in spec.tasks


def _foreign(name: str, owners: list[str], task: str, offered: list[str] | None = None, path: str = "") -> SpecError:
    rule = f"{name} is for {', '.join(owners)}; got it in {task}"
    return SpecError(rule, allowed=", ".join(offered) if offered else None, path=path or name)
