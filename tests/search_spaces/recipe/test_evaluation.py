import pytest

from search_spaces.errors import SpecError
from search_spaces.recipe import ClassificationRecipe, DetectionRecipe, MultiScaleTest, Prediction, SegmentationRecipe


@pytest.mark.parametrize("task", [ClassificationRecipe, SegmentationRecipe, DetectionRecipe])
def test_it_stands_in_the_recipe_of_every_task_on_images(task: type[ClassificationRecipe]) -> None:
    recipe = task.from_data({"prediction": {"kind": "multi_scale_test", "scales": [0.5, 1]}})
    assert recipe.prediction == MultiScaleTest(scales=(0.5, 1.0), flip=True)
    assert isinstance(recipe.prediction, Prediction)


@pytest.mark.parametrize("scales", [[], [0], [5.0], [1.0] * 7])
def test_scales_out_of_range_are_refused(scales: list[float]) -> None:
    with pytest.raises(SpecError, match="scales"):
        MultiScaleTest.from_data({"kind": "multi_scale_test", "scales": scales})
