import numpy as np
import pytest

from search_spaces.domains import Float
from search_spaces.recipe import Mixup, Recipe, Sgd
from search_spaces.space import Space
from search_spaces.spec import SpecError, hole
from search_spaces.template import template

YAML = """
optimizer: {kind: sgd, lr: {float: [0.01, 1.0], log: true}}
mix: {categorical: [null, {kind: mixup, alpha: {float: [0.1, 0.4]}}]}
cutout: {categorical: {none: null, small: {kind: cutout, length: 0.25}}}
precision: {categorical: [float32, bf16]}
"""


def test_a_recipe_with_holes_is_a_space() -> None:
    space = Space(Recipe.from_yaml(YAML))
    paths = {point.path for point in space.points()}
    assert paths == {"optimizer/lr", "mix", "mix/mixup/alpha", "cutout", "precision"}
    drawn = [space.realize(space.sample(np.random.default_rng(seed))) for seed in range(40)]
    assert {type(recipe.mix) for recipe in drawn} == {type(None), Mixup}
    assert all(isinstance(recipe.optimizer, Sgd) and 0.01 <= recipe.optimizer.lr <= 1 for recipe in drawn)
    assert {recipe.precision for recipe in drawn} == {"float32", "bf16"}


def test_the_template_of_a_file_and_of_code_are_one() -> None:
    data = {"optimizer": {"kind": "sgd", "lr": {"float": [0.01, 1.0], "log": True}}}
    made = Recipe(optimizer=Sgd(lr=hole(Float(low=0.01, high=1.0, log=True))))
    assert Space(template(data, Recipe)).fingerprint == Space(made).fingerprint


def test_the_order_names_the_fields_that_change_a_batch() -> None:
    assert Recipe.ORDER == ("normalize", "crop", "flip", "cutout", "mix")
    assert set(Recipe.ORDER) - {"normalize"} <= set(Recipe.model_fields)


def test_nothing_that_changes_images_is_on_by_default() -> None:
    assert all(getattr(Recipe(), name) is None for name in Recipe.ORDER if name != "normalize")


def test_mistakes_are_refused_with_their_path() -> None:
    with pytest.raises(SpecError, match="did you mean 'batch_size'"):
        Recipe.from_data({"batchsize": 3})
    with pytest.raises(SpecError, match="^optimizer: unknown kind of optimizer, did you mean 'sgd'"):
        Recipe.from_data({"optimizer": {"kind": "sgdd"}})
    with pytest.raises(SpecError, match="optimizer/lr"):
        Recipe.from_data({"optimizer": {"kind": "sgd", "lr": {"float": [-1.0, 1.0]}}})
