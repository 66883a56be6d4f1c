"""Learning from networks that were trained before."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.build import Architecture
from search_spaces.domains import Float
from search_spaces.recipe.trick import Trick
from search_spaces.spec import Hole, Spec

Weight = Annotated[float, Field(ge=0)]
DENSE = frozenset({"classification", "segmentation"})


class Teacher(Spec):
    """A network to learn from; it is frozen."""

    home: ClassVar[str | None] = "search_spaces.recipe"
    group: ClassVar[str | None] = "deepspace.tricks"


class RunTeacher(Teacher):
    """The winner of an earlier search."""

    kind: Literal["run"] = "run"
    path: str
    """Its folder `best/`: `architecture.json` and `weights.safetensors`."""


class TrainedTeacher(Teacher):
    """A network that a search trains once, before the first trial that needs it goes on; all its trials find it.

    It is trained with the search's seed and the task's default recipe, on images that are normalised as the student's
    are: nothing else of a student's recipe, which may be searched, reaches it.
    """

    kind: Literal["trained"] = "trained"
    architecture: Hole[Architecture]
    epochs: Hole[Annotated[int, Field(ge=1)]] = 8


class Distillation(Trick):
    """Adds what teachers say to the loss: (1 - `weight`) of the task's, `weight` T^2 of the divergence from them.

    With several teachers `average` is of their softened probabilities (`mean`), of their `logits`, or of the places of
    the classes in each teacher's order (`rank`), which are softened as logits are.
    """

    tasks: ClassVar[frozenset[str]] = DENSE

    teachers: Hole[Annotated[tuple[Teacher, ...], Field(min_length=1)]]
    average: Hole[Literal["mean", "logits", "rank"]] = "mean"
    temperature: Hole[Annotated[float, Field(gt=0), Float(1.0, 20.0, log=True)]] = 4.0
    weight: Hole[Annotated[float, Field(ge=0, le=1), Float(0.1, 0.9)]] = 0.5


class SoftDistillation(Distillation):
    """Divergence of softened probabilities; of each pixel where there are many.

    Paper: Hinton et al., Distilling the Knowledge in a Neural Network, 2015, 1503.02531, section 2.
    """

    tasks: ClassVar[frozenset[str]] = DENSE | {"language"}

    kind: Literal["soft_distillation"] = "soft_distillation"


class PairwiseDistillation(Distillation):
    """Soft distillation, and the similarity of all pairs of places of a feature map, as the teachers have it.

    Places are patches of `patch` by `patch` of the smaller map.

    Paper: Liu et al., Structured Knowledge Distillation, 2019, 1903.04197, equations 2 and 3.
    """

    kind: Literal["pairwise_distillation"] = "pairwise_distillation"
    similarity: Hole[Annotated[Weight, Float(1.0, 100.0, log=True)]] = 10.0
    patch: Hole[Annotated[int, Field(ge=1)]] = 2


class HolisticDistillation(Distillation):
    """Pair-wise distillation, and a critic that scores whole score maps, to be as high as the teachers'.

    Paper: Liu et al., Structured Knowledge Distillation, 2019, 1903.04197, equations 4 and 5.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"segmentation"})

    kind: Literal["holistic_distillation"] = "holistic_distillation"
    similarity: Hole[Annotated[Weight, Float(1.0, 100.0, log=True)]] = 10.0
    patch: Hole[Annotated[int, Field(ge=1)]] = 2
    critic: Hole[Weight] = 0.1
