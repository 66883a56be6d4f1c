import numpy as np
import pytest

from search_spaces.recipe import (
    ClassificationRecipe,
    DetectionRecipe,
    LanguageRecipe,
    Recipe,
    SegmentationRecipe,
    Trick,
)
from search_spaces.recipe.presets import recipe_detection, recipe_segmentation
from search_spaces.recipe.recipe import _tricks
from search_spaces.space import Space
from search_spaces.spec import kinds
from search_spaces.template import presets, template

RECIPES: dict[str, type[Recipe]] = {
    "classification": ClassificationRecipe,
    "segmentation": SegmentationRecipe,
    "detection": DetectionRecipe,
    "language": LanguageRecipe,
}
EVERYTHING = {"classification": {"aux": True}, "segmentation": {"aux": True, "edges": True}}
# Need a path or a network to be named, or a network with weights of its architecture, or (dropout elsewhere, smoothing)
# do not go with what is there.
NAMED = {
    "soft_distillation",
    "pairwise_distillation",
    "holistic_distillation",
    "ensemble",
    "layer_transfer",
    "separate_splits",
}
ELSEWHERE = {
    "segmentation": {"dropout", "label_smoothing"},
    "detection": {"dropout"},
    "language": {"dropout", "drop_path", "batch_norm"},
}


@pytest.mark.parametrize("task", RECIPES)
def test_what_is_drawn_from_a_default_space_is_a_recipe_of_its_task(task: str) -> None:
    made = template({"preset": f"recipe-{task}", **EVERYTHING.get(task, {})}, RECIPES[task])
    space = Space(made)
    rng = np.random.default_rng(0)
    for _ in range(150):
        recipe = space.realize(space.sample(rng))
        assert type(recipe) is RECIPES[task]
        assert type(recipe).from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize("task", RECIPES)
def test_every_trick_that_a_task_can_use_is_in_its_default_space(task: str) -> None:
    made = template({"preset": f"recipe-{task}", **EVERYTHING.get(task, {})}, RECIPES[task])
    offered = {str(trick.to_data()["kind"]) for _, trick in _tricks(made)}
    usable = {kind for kind, spec in kinds(Trick).items() if issubclass(spec, Trick) and task in spec.tasks}
    assert usable - offered - NAMED == ELSEWHERE.get(task, set())


def test_what_excludes_one_another_is_one_choice() -> None:
    space = Space(presets()["recipe-classification"]())
    domains = {point.path: point.domain for point in space.points()}
    assert list(domains["mix"].branches()) == ["null", "mixup", "ricap"]
    assert list(domains["auto"].branches()) == ["null", "auto_augment", "rand_augment", "trivial_augment"]
    smooth = {point.path for point in Space(recipe_segmentation(smoothing=True)).points()}
    plain = {point.path for point in Space(recipe_segmentation()).points()}
    assert "label_smoothing" in smooth - plain and "loss" in plain - smooth


def test_fields_beside_a_preset_override_it() -> None:
    made = template({"preset": "recipe-detection", "mix": None, "batch_size": 4}, DetectionRecipe)
    paths = {point.path for point in Space(made).points()}
    everything = {point.path for point in Space(recipe_detection()).points()}
    assert everything - paths == {"batch_size", *(path for path in everything if path.split("/")[0] == "mix")}
