import pytest

from search_spaces.recipe import ClassificationRecipe, DetectionMixup, DetectionRecipe, Mix, Mixup, Ricap
from search_spaces.spec import SpecError, kinds


def test_mixes_are_for_one_task_each() -> None:
    assert set(kinds(Mix)) == {"mixup", "ricap", "detection_mixup"}
    assert Mixup.tasks == Ricap.tasks == {"classification"}
    assert DetectionMixup.tasks == {"detection"}


def test_ricap_on_detection_is_refused_by_name_with_what_can_be_used() -> None:
    with pytest.raises(SpecError) as caught:
        DetectionRecipe.from_data({"mix": {"kind": "ricap"}})
    assert str(caught.value) == "mix: ricap is for classification; got it in detection; allowed detection_mixup"


def test_an_option_of_a_hole_is_refused_too() -> None:
    with pytest.raises(SpecError, match="^mix/detection_mixup: detection_mixup is for detection; got it in class"):
        ClassificationRecipe.from_data({"mix": {"categorical": [None, {"kind": "detection_mixup"}]}})


@pytest.mark.parametrize("data", [{"kind": "mixup", "alpha": 0.0}, {"kind": "ricap", "until": 1.5}])
def test_values_out_of_range_are_refused_by_name(data: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=f"^{list(data)[1]}: out of range"):
        Mix.from_data(data)
