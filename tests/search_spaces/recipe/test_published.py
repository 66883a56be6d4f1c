"""Printed settings, read back through a search file's notation."""

from search_spaces.recipe import ClassificationRecipe
from search_spaces.template import template


def test_settings_of_the_darts_search():
    recipe = template({"preset": "darts-search-recipe"}, ClassificationRecipe)
    optimizer = recipe.optimizer
    assert (recipe.batch_size, optimizer.lr, optimizer.momentum, optimizer.weight_decay) == (64, 0.025, 0.9, 3e-4)
    assert not optimizer.nesterov and optimizer.decay_bias_and_norm
    assert optimizer.lr * recipe.schedule.final == 0.001
    assert (recipe.clip.norm, recipe.warmup, recipe.mix) == (5.0, None, None)
    assert recipe.crop is not None and recipe.flip is not None
    assert template({"preset": "darts-search-recipe", "augment": False}, ClassificationRecipe).crop is None


def test_settings_of_the_darts_evaluation():
    recipe = template({"preset": "darts-recipe"}, ClassificationRecipe)
    assert (recipe.batch_size, recipe.cutout.length, recipe.drop_path.rate) == (96, 0.5, 0.2)
    assert (recipe.deep_supervision.weight, recipe.schedule.final, recipe.clip.norm) == (0.4, 0.0, 5.0)
    assert template({"preset": "darts-recipe", "aux": 0.0}, ClassificationRecipe).deep_supervision is None
