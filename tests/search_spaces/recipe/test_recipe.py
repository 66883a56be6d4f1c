import numpy as np
import pytest

from search_spaces.domains import Float
from search_spaces.recipe import (
    ClassificationRecipe,
    DetectionRecipe,
    ImageRecipe,
    LanguageRecipe,
    Mix,
    Mixup,
    SegmentationRecipe,
    Sgd,
)
from search_spaces.space import Space
from search_spaces.spec import Hole, SpecError, hole
from search_spaces.template import template

YAML = """
optimizer: {kind: sgd, lr: {float: [0.01, 1.0], log: true}}
mix: {categorical: [null, {kind: mixup, alpha: {float: [0.1, 0.4]}}]}
cutout: {categorical: {none: null, small: {kind: cutout, length: 0.25}}}
precision: {categorical: [float32, bf16]}
"""


def test_a_recipe_with_holes_is_a_space() -> None:
    space = Space(ClassificationRecipe.from_yaml(YAML))
    paths = {point.path for point in space.points()}
    assert paths == {"optimizer/lr", "mix", "mix/mixup/alpha", "cutout", "precision"}
    drawn = [space.realize(space.sample(np.random.default_rng(seed))) for seed in range(40)]
    assert {type(recipe.mix) for recipe in drawn} == {type(None), Mixup}
    assert all(isinstance(recipe.optimizer, Sgd) and 0.01 <= recipe.optimizer.lr <= 1 for recipe in drawn)
    assert {recipe.precision for recipe in drawn} == {"float32", "bf16"}


def test_the_template_of_a_file_and_of_code_are_one() -> None:
    data = {"optimizer": {"kind": "sgd", "lr": {"float": [0.01, 1.0], "log": True}}}
    made = ClassificationRecipe(optimizer=Sgd(lr=hole(Float(low=0.01, high=1.0, log=True))))
    assert Space(template(data, ClassificationRecipe)).fingerprint == Space(made).fingerprint


def test_the_order_names_the_fields_that_change_a_batch() -> None:
    order = " ".join(ClassificationRecipe.ORDER)
    assert order.startswith("normalize copy_paste zoom_out crop flip rotation auto color pca_color scale erasing")
    assert order.endswith("cutout mix")
    assert set(ClassificationRecipe.ORDER) - {"copy_paste", "zoom_out"} <= set(ClassificationRecipe.model_fields)
    assert set(DetectionRecipe.ORDER) <= set(DetectionRecipe.model_fields)


def test_nothing_that_changes_images_is_on_by_default() -> None:
    for recipe in (ClassificationRecipe(), SegmentationRecipe(), DetectionRecipe()):
        assert all(getattr(recipe, name, None) is None for name in recipe.ORDER if name != "normalize")


def test_fields_and_tricks_of_other_tasks_are_refused_by_name() -> None:
    with pytest.raises(SpecError, match="^crop: crop is for classification, segmentation, detection; got it in lang"):
        LanguageRecipe.from_data({"crop": None})
    with pytest.raises(SpecError, match="^drop_path: drop_path is for .*; got it in language"):
        LanguageRecipe.from_data({"drop_path": {"kind": "drop_path"}})
    with pytest.raises(SpecError, match="^batch_norm: batch_norm is for .*; got it in language"):
        LanguageRecipe.from_data({"batch_norm": {"kind": "batch_norm"}})
    with pytest.raises(SpecError, match="^box_loss: box_loss is for detection; got it in segmentation"):
        SegmentationRecipe.from_data({"box_loss": {"kind": "giou"}})
    with pytest.raises(SpecError, match="^mix: ricap is for classification; got it in detection"):
        DetectionRecipe.from_data({"mix": {"kind": "ricap"}})


def test_a_recipe_of_no_task_takes_everything() -> None:
    class Own(ImageRecipe):
        mix: Hole[Mix | None] = None

    assert Own.from_data({"mix": {"kind": "ricap"}}).mix == Own.from_data({"mix": {"kind": "ricap"}}).mix


def test_mistakes_are_refused_with_their_path() -> None:
    with pytest.raises(SpecError, match="did you mean 'batch_size'"):
        ClassificationRecipe.from_data({"batchsize": 3})
    with pytest.raises(SpecError, match="^optimizer: unknown kind of optimizer, did you mean 'sgd'"):
        ClassificationRecipe.from_data({"optimizer": {"kind": "sgdd"}})
    with pytest.raises(SpecError, match="optimizer/lr"):
        ClassificationRecipe.from_data({"optimizer": {"kind": "sgd", "lr": {"float": [-1.0, 1.0]}}})
