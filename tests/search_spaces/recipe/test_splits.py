import pytest

from search_spaces.errors import SpecError
from search_spaces.recipe import (
    ClassificationRecipe,
    DetectionRecipe,
    LanguageRecipe,
    Recipe,
    SegmentationRecipe,
    SeparateSplits,
)


def test_l15_halves_from_the_middle_of_training_on_are_the_default() -> None:
    found = ClassificationRecipe.from_data({"splits": {"kind": "separate_splits"}}).splits
    assert found == SeparateSplits(share=0.5, start=0.5)


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.0}, {"start": 1.5}])
def test_l15_a_split_that_leaves_nothing_is_refused(wrong: dict[str, float]) -> None:
    (field,) = wrong
    with pytest.raises(SpecError, match=f"{field}: out of range"):
        SeparateSplits.from_data({"kind": "separate_splits", **wrong})


@pytest.mark.parametrize("recipe", [SegmentationRecipe, DetectionRecipe, LanguageRecipe])
def test_l15_tasks_without_supernets_have_no_rows_to_split(recipe: type[Recipe]) -> None:
    with pytest.raises(SpecError, match="splits is for classification; got it in"):
        recipe.from_data({"splits": {"kind": "separate_splits"}})
