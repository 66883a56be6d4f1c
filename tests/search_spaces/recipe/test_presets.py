from typing import Any

import numpy as np
import pytest

from search_spaces.domains import Categorical, Domain, Float
from search_spaces.recipe import (
    ClassificationRecipe,
    DetectionRecipe,
    LanguageRecipe,
    LayerTransfer,
    Recipe,
    RunTeacher,
    SegmentationRecipe,
    TrainedTeacher,
    Trick,
)
from search_spaces.recipe.presets import recipe_detection
from search_spaces.recipe.ranges import ranges
from search_spaces.space import Space
from search_spaces.spec import children, kinds, specs
from search_spaces.template import presets, template

RECIPES: dict[str, type[Recipe]] = {
    "classification": ClassificationRecipe,
    "segmentation": SegmentationRecipe,
    "detection": DetectionRecipe,
    "language": LanguageRecipe,
}
RUN = {"teacher": {"kind": "run", "path": "runs/a/best"}, "transfer": {"path": "runs/b/best"}}
EVERYTHING: dict[str, dict[str, Any]] = {
    "classification": {"aux": True, "maps": True, "gates": True, "splits": True, **RUN},
    "segmentation": RUN,
    "detection": {"transfer": RUN["transfer"]},
    "language": RUN,
}
# Fields with a range that a preset sets otherwise, and why.
SET = {
    ("constant_warmup", "error"): "no training accuracy is reported that could end a warmup",
    ("soft_nms", "form"): "each form is an option of its own",
    ("soft_nms", "sigma"): "the linear form does not read it",
    ("soft_nms", "threshold"): "the Gaussian form does not read it",
    ("soft_distillation", "average"): "there is one teacher",
    ("pairwise_distillation", "average"): "there is one teacher",
    ("holistic_distillation", "average"): "there is one teacher",
    ("iou_assignment", "positive"): "that of proposals is no choice",
    ("iou_assignment", "negative"): "that of proposals is no choice",
    ("iou_assignment", "low_quality"): "that of proposals is no choice",
}
LASTING = {"gradual_warmup", "step_decay", "easy_first", "staged"}


def _made(task: str, **arguments: Any) -> Recipe:
    data = {"preset": f"recipe-{task}", **EVERYTHING[task], **arguments}
    made: Recipe = template(data, RECIPES[task])
    return made


def _tricks(made: Recipe) -> list[Trick]:
    return [trick for _, trick in specs(made) if isinstance(trick, Trick)]


@pytest.mark.parametrize("task", RECIPES)
def test_what_is_drawn_from_a_default_space_is_a_recipe_of_its_task(task: str) -> None:
    space = Space(_made(task))
    rng = np.random.default_rng(0)
    for _ in range(150):
        recipe = space.realize(space.sample(rng))
        assert type(recipe) is RECIPES[task]
        assert type(recipe).from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize("task", RECIPES)
def test_every_trick_that_a_task_can_use_is_in_its_default_space(task: str) -> None:
    offered = {str(trick.to_data()["kind"]) for trick in _tricks(_made(task))}
    assert offered == {kind for kind, spec in kinds(Trick).items() if issubclass(spec, Trick) and task in spec.tasks}


@pytest.mark.parametrize("task", RECIPES)
def test_every_range_is_a_hole_of_that_range(task: str) -> None:
    for trick in _tricks(_made(task)):
        kind = str(trick.to_data()["kind"])
        for name, domain in ranges(type(trick)).items():
            found = getattr(trick, name)
            if not isinstance(found, Domain):
                assert (kind, name) in SET
            elif kind in LASTING and name == "epochs":
                assert isinstance(found, Float) and isinstance(domain, Float)
                assert domain.low <= found.low < found.high <= domain.high
            else:
                assert found == domain
        searched = {name for name, value in children(trick) if isinstance(value, Domain)}
        assert searched <= set(ranges(type(trick)))


@pytest.mark.parametrize("epochs", [1, 8, 600])
def test_what_lasts_epochs_ends_within_the_trial(epochs: int) -> None:
    found = {
        str(trick.to_data()["kind"]): trick.epochs  # type: ignore[attr-defined]
        for trick in _tricks(_made("classification", epochs=epochs))
        if str(trick.to_data()["kind"]) in LASTING
    }
    assert set(found) == LASTING
    assert all(isinstance(domain, Float) and domain.high <= max(2.0, epochs / 2) for domain in found.values())


@pytest.mark.parametrize("task", RECIPES)
def test_synchronised_norms_and_decay_of_norms_are_choices(task: str) -> None:
    paths = {point.path for point in Space(_made(task)).points()}
    for kind in ("sgd", "adam", "adamw", "adabound", "two_phase/second"):
        assert {f"optimizer/{kind}/decay_bias_and_norm", f"optimizer/{kind}/weight_decay"} <= paths
    assert ("batch_norm/batch_norm/sync" in paths) == (task != "language")


def test_what_excludes_one_another_is_one_choice() -> None:
    space = Space(presets()["recipe-classification"]())
    domains = {point.path: point.domain for point in space.points()}
    assert list(domains["mix"].branches()) == ["null", "mixup", "ricap"]
    assert list(domains["auto"].branches()) == ["null", "auto_augment", "rand_augment", "trivial_augment"]
    assert {"prediction", "label_smoothing", "loss", "dropout"} <= set(domains)


def test_a_warmup_waits_for_an_error_where_one_is_reported() -> None:
    for task in RECIPES:
        paths = {point.path for point in Space(_made(task)).points()}
        assert ("warmup/constant_warmup/error" in paths) == (task in ("classification", "language"))


def test_a_teacher_and_a_run_to_start_from_are_arguments() -> None:
    found = {path: spec for path, spec in specs(_made("segmentation"))}
    for kind in ("soft", "pairwise", "holistic"):
        path = f"distillation/{kind}_distillation/teachers/0"
        assert found[path] == RunTeacher(path="runs/a/best")
    assert isinstance(found["init/layer_transfer"], LayerTransfer)
    without = Space(presets()["recipe-segmentation"]())
    assert "distillation" not in {point.path for point in without.points()}
    options = next(point.domain for point in without.points() if point.path == "init")
    assert isinstance(options, Categorical) and "layer_transfer" not in options.branches()


def test_a_trained_teacher_needs_an_architecture_alone_which_may_be_a_preset() -> None:
    teacher = {"kind": "trained", "architecture": {"preset": "chain", "layers": 2}}
    made = _made("classification", teacher=teacher, maps=False)
    found = [spec for _, spec in specs(made) if isinstance(spec, TrainedTeacher)]
    # One teaches, and may be asked beside the network.
    assert len(found) == 2 and len(found[0].architecture.layers) == 2  # type: ignore[attr-defined]
    paths = {point.path for point in Space(made).points()}
    assert "distillation/soft_distillation/teachers/0/architecture/layers/0/height" in paths


def test_fields_beside_a_preset_override_it() -> None:
    made = template({"preset": "recipe-detection", "mix": None, "batch_size": 4}, DetectionRecipe)
    paths = {point.path for point in Space(made).points()}
    everything = {point.path for point in Space(recipe_detection()).points()}
    assert everything - paths == {"batch_size", *(path for path in everything if path.split("/")[0] == "mix")}
