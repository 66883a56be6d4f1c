"""The ranges that default spaces search, number for number, and that none stands outside of its field."""

from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import Field

from search_spaces.domains import Categorical, Domain, Float, Integer
from search_spaces.recipe import Trick
from search_spaces.recipe.ranges import ranges, varied
from search_spaces.recipe.trick import ALL_TASKS
from search_spaces.space import Space
from search_spaces.spec import Hole, Spec, kinds

TRICKS = {kind: spec for kind, spec in kinds(Trick).items() if issubclass(spec, Trick)}
# What the literature that the tricks come from finds worth searching, entry by entry.
KNOWN: dict[str, dict[str, tuple[float, float]]] = {
    "label_smoothing": {"epsilon": (0, 0.2)},
    "focal": {"gamma": (0, 5)},
    "boundary_focal": {"gamma": (0, 5), "weight": (1, 8)},
    "smooth_l1": {"beta": (1 / 9, 1), "weight": (1, 10)},
    **{kind: {"weight": (1, 10)} for kind in ("iou", "giou", "diou", "ciou")},
    "arcface": {"scale": (16, 64), "margin": (0, 0.7)},
    "angular_softmax": {"margin": (1, 4)},
    "soft_distillation": {"temperature": (1, 20), "weight": (0.1, 0.9)},
    "pairwise_distillation": {"similarity": (1, 100)},
    "holistic_distillation": {"similarity": (1, 100)},
    "dropout": {"rate": (0, 0.6)},
    "drop_path": {"rate": (0, 0.5)},
    "batch_norm": {"momentum": (0.01, 0.3)},
    "early_stopping": {"patience": (3, 30)},
    "layer_transfer": {"noise": (0, 1e-2)},
    "mixup": {"alpha": (0.01, 1)},
    "ricap": {"beta": (0.1, 1)},
    "detection_mixup": {"alpha": (1, 2)},
    "cutout": {"length": (4 / 32, 24 / 32)},
    "erasing": {"largest": (0.33, 0.4)},
    "rand_augment": {"operations": (1, 3), "magnitude": (1, 30)},
    "rotation": {"degrees": (0, 45)},
    "color": {"brightness": (0, 0.8), "contrast": (0, 0.8), "saturation": (0, 0.8), "hue": (0, 0.5)},
    "pca_color": {"sigma": (0, 0.5)},
    "copy_paste": {"copies": (1, 5)},
    "zoom_out": {"largest": (1, 4)},
    "multi_scale": {"every": (1, 50), "smallest": (0.75, 1), "largest": (1, 1.5)},
    "constant_warmup": {"factor": (0.01, 0.3)},
    "gradual_warmup": {"epochs": (0, 10), "start": (1 / 32, 1)},
    "step_decay": {"gamma": (0.1, 0.5)},
    "multi_step_decay": {"gamma": (0.1, 0.5)},
    "plateau": {"gamma": (0.1, 0.5)},
    **{kind: {"lr": (1e-5, 1), "weight_decay": (1e-6, 1e-2)} for kind in ("sgd", "adam", "adamw")},
    "adabound": {"lr": (1e-5, 1), "weight_decay": (1e-6, 1e-2), "final_lr": (0.01, 1), "gamma": (1e-4, 1e-2)},
    "oversample_small": {"ratio": (2, 4)},
    "balanced_sampling": {"positive": (0.25, 0.5)},
    "hard_negatives": {"ratio": (1, 10)},
    "loose_assignment": {"small": (0.3, 0.5)},
    "scale_compensation": {"positive": (0.35, 0.5), "least": (0.05, 0.2)},
    "soft_nms": {"sigma": (0.1, 1), "threshold": (0.3, 0.6)},
    "diou_nms": {"threshold": (0.4, 0.7)},
    "hard_nms": {"threshold": (0.3, 0.7)},
    "weighted_nms": {"threshold": (0.2, 0.6)},
}
# Fields that default spaces leave alone, and why.
FIXED = {
    "named by the user, or the choice of another field": {
        *("early_stopping/metric", "plateau/metric", "layer_transfer/path", "two_phase/first", "two_phase/second"),
        *(f"{kind}_distillation/teachers" for kind in ("soft", "pairwise", "holistic")),
        "ensemble/members",
    },
    "moments of optimizers, which nobody tunes": {
        f"{kind}/{name}" for kind in ("adam", "adamw", "adabound") for name in ("beta1", "beta2", "epsilon")
    },
    "one value is known to be good": {
        *("cutout/holes", "erasing/smallest", "erasing/aspect", "flip/p", "zoom_out/p", "plateau/min_delta"),
        *("resized_crop/largest", "resized_crop/aspect", "iou_crop/smallest", "copy_paste/scale", "copy_paste/degrees"),
        *("multi_scale/multiple", "boundary_focal/width", "edge_loss/width", "angular_softmax/start"),
        *("angular_softmax/end", "dual_task/threshold", "dual_task/temperature", "uncertainty_weighting/initial"),
        *("pairwise_distillation/patch", "holistic_distillation/patch", "holistic_distillation/critic"),
        *("soft_nms/floor", "diou_nms/beta"),
        *("loose_assignment/side", "scale_compensation/negative", "hard_negatives/least"),
        *(f"guided_loss/{name}" for name in ("location", "shape", "centre", "ignored")),
        *(f"cascade_loss/{name}" for name in ("step", "decay", "semantic", "mask")),
    },
}


@pytest.mark.parametrize("kind", KNOWN)
def test_ranges_are_those_that_are_known(kind: str) -> None:
    found: dict[str, Any] = ranges(TRICKS[kind])
    assert {name: (found[name].low, found[name].high) for name in KNOWN[kind]} == KNOWN[kind]


def test_a_field_has_a_range_or_a_reason_to_have_none() -> None:
    fields = {f"{kind}/{name}" for kind, spec in TRICKS.items() for name in spec.model_fields if name != "kind"}
    searched = {f"{kind}/{name}" for kind, spec in TRICKS.items() for name in ranges(spec)}
    fixed = set().union(*FIXED.values())
    assert fields - searched == fixed


@pytest.mark.parametrize("kind", TRICKS)
def test_extremes_pass_the_fields_own_rules_and_the_default_lies_between(kind: str) -> None:
    spec = TRICKS[kind]
    for name, domain in ranges(spec).items():
        field = spec.model_fields[name]
        values = domain.branches().values() if isinstance(domain, Categorical) else (domain.low, domain.high)  # type: ignore
        for value in values:
            spec.__pydantic_validator__.validate_assignment(spec.model_construct(), name, value)
        # Weight decay of Adam is off by default, which no range of a logarithm has.
        if (kind, name) != ("adam", "weight_decay"):
            assert field.default in values if isinstance(domain, Categorical) else _between(field.default, domain)


def _between(value: float, domain: Domain[Any]) -> bool:
    assert isinstance(domain, Float | Integer)
    return domain.low <= value <= domain.high


def test_every_trick_says_its_tasks() -> None:
    assert all(spec.tasks and spec.tasks <= ALL_TASKS for spec in TRICKS.values())


class Example(Spec):
    """Fields of all sorts."""

    name: Literal["a", "b"] = "a"
    choice: Hole[Literal["a", "b"]] = "a"
    wanted: Hole[bool] = False
    share: Hole[Annotated[float, Field(ge=0, le=1), Float(0.25, 0.5)]] = 0.25
    count: Hole[Annotated[Annotated[int, Field(ge=1)] | None, Integer(1, 3)]] = None
    sizes: Hole[Annotated[tuple[float, ...], Categorical({"small": (1.0,), "both": (1.0, 2.0)})]] = (1.0,)
    other: Hole[int] = 7


def test_a_range_is_what_the_annotation_says_or_all_of_a_choice() -> None:
    assert ranges(Example) == {
        "choice": Categorical(("a", "b")),
        "wanted": Categorical((False, True)),
        "share": Float(0.25, 0.5),
        "count": Integer(1, 3),
        "sizes": Categorical({"small": (1.0,), "both": (1.0, 2.0)}),
    }


def test_a_varied_spec_has_a_hole_for_each_range_that_is_not_given() -> None:
    space = Space(varied(Example, share=0.3))
    assert {point.path for point in space.points()} == {"choice", "wanted", "count", "sizes"}
    drawn = [space.realize(space.sample(np.random.default_rng(seed))) for seed in range(30)]
    assert {spec.sizes for spec in drawn} == {(1.0,), (1.0, 2.0)}
    assert {spec.count for spec in drawn} == {1, 2, 3}
    assert {(spec.share, spec.other) for spec in drawn} == {(0.3, 7)}
