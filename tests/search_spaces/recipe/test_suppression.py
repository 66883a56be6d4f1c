import pytest

from search_spaces.errors import SpecError
from search_spaces.recipe import DetectionRecipe, DiouNms, HardNms, SoftNms, Suppression, WeightedNms
from search_spaces.spec import kinds


def test_the_kinds_are_those_of_the_catalogue() -> None:
    assert set(kinds(Suppression)) == {"hard_nms", "soft_nms", "diou_nms", "weighted_nms"}


def test_defaults_are_those_of_the_catalogue() -> None:
    assert (SoftNms().sigma, SoftNms().threshold, SoftNms().floor) == (0.5, 0.3, 1e-3)
    assert (DiouNms().threshold, DiouNms().beta) == (0.5, 1.0)
    assert (HardNms().threshold, WeightedNms().threshold) == (0.5, 0.3)
    assert DetectionRecipe().suppression == HardNms()


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "hard_nms", "threshold": 1.2},
        {"kind": "soft_nms", "sigma": 0},
        {"kind": "soft_nms", "form": "cubic"},
        {"kind": "diou_nms", "beta": 0},
    ],
)
def test_values_out_of_range_are_refused(data: dict[str, object]) -> None:
    with pytest.raises(SpecError, match="suppression/"):
        DetectionRecipe.from_data({"suppression": data})
