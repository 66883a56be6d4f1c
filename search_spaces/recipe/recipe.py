"""The whole training recipe: one field a trick, None where it is off."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.recipe.augment import Crop, Cutout, Flip, Mix
from search_spaces.recipe.loss import LabelSmoothing
from search_spaces.recipe.optimizer import ClipGradients, Optimizer, Sgd
from search_spaces.recipe.regularization import Dropout, DropPath, EarlyStopping, Ema
from search_spaces.recipe.schedule import Cosine, GradualWarmup, Schedule, Warmup
from search_spaces.spec import Hole, Spec


class Recipe(Spec):
    """How a network is trained."""

    # The order in which a batch is changed; the one place that says it.
    ORDER: ClassVar[tuple[str, ...]] = ("normalize", "crop", "flip", "cutout", "mix")

    batch_size: Hole[Annotated[int, Field(ge=1)]] = 64
    optimizer: Hole[Optimizer] = Sgd()
    schedule: Hole[Schedule] = Cosine()
    warmup: Hole[Warmup | None] = GradualWarmup()
    clip: Hole[ClipGradients | None] = None

    crop: Hole[Crop | None] = None
    flip: Hole[Flip | None] = None
    cutout: Hole[Cutout | None] = None
    mix: Hole[Mix | None] = None
    label_smoothing: Hole[LabelSmoothing | None] = None

    dropout: Hole[Dropout | None] = None
    drop_path: Hole[DropPath | None] = None
    ema: Hole[Ema | None] = None
    early_stopping: Hole[EarlyStopping | None] = None

    precision: Hole[Literal["float32", "bf16", "fp16"]] = "float32"
    channels_last: Hole[bool] = True
