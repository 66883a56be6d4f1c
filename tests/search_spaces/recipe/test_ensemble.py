import pytest

from search_spaces.errors import SpecError
from search_spaces.recipe import ClassificationRecipe, DetectionRecipe, Ensemble, RunTeacher, SegmentationRecipe

MEMBERS = [{"kind": "run", "path": "runs/a/best"}, {"kind": "run", "path": "runs/b/best"}]


@pytest.mark.parametrize("recipe", [ClassificationRecipe, SegmentationRecipe])
def test_l14_it_stands_in_the_recipes_of_what_has_logits(recipe: type[ClassificationRecipe]) -> None:
    found = recipe.from_data({"ensemble": {"kind": "ensemble", "members": MEMBERS, "average": "rank"}}).ensemble
    assert found == Ensemble(members=(RunTeacher(path="runs/a/best"), RunTeacher(path="runs/b/best")), average="rank")


def test_l14_no_members_another_average_and_another_task_are_refused() -> None:
    with pytest.raises(SpecError, match="members"):
        Ensemble.from_data({"kind": "ensemble", "members": []})
    with pytest.raises(SpecError, match="average.*median"):
        Ensemble.from_data({"kind": "ensemble", "members": MEMBERS, "average": "median"})
    with pytest.raises(SpecError, match="ensemble is for classification, segmentation; got it in detection"):
        DetectionRecipe.from_data({"ensemble": {"kind": "ensemble", "members": MEMBERS}})
