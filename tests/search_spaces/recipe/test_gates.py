"""Specs of the losses of gates."""

import pytest

from search_spaces.errors import SpecError
from search_spaces.recipe import ClassificationRecipe, SegmentationRecipe


def test_they_are_for_classification() -> None:
    assert ClassificationRecipe.from_data({"gates": "target_rate"}).gates.rate == 0.6
    with pytest.raises(SpecError, match="gates is for classification"):
        SegmentationRecipe.from_data({"gates": "target_rate"})
