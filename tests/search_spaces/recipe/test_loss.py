import pytest

from search_spaces.recipe import LabelSmoothing
from search_spaces.spec import SpecError


def test_the_default_is_that_of_the_paper() -> None:
    assert LabelSmoothing().to_data() == {"kind": "label_smoothing", "epsilon": 0.1, "variant": "uniform"}


def test_epsilon_and_variant_are_checked() -> None:
    with pytest.raises(SpecError, match="epsilon"):
        LabelSmoothing.from_data({"epsilon": 1.0})
    with pytest.raises(SpecError, match="variant"):
        LabelSmoothing.from_data({"variant": "some"})
