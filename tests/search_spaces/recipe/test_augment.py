import pytest

from search_spaces.recipe import Augmentation, Cutout, Mix, Mixup
from search_spaces.spec import Spec, SpecError, kinds


def test_mixes_are_no_augmentations() -> None:
    assert set(kinds(Augmentation)) >= {"crop", "flip", "cutout"}
    assert set(kinds(Mix)) >= {"mixup"}
    assert "mixup" not in kinds(Augmentation)


@pytest.mark.parametrize(("spec", "data"), [(Cutout, {"length": 1.2}), (Cutout, {"holes": 0}), (Mixup, {"alpha": 0.0})])
def test_values_out_of_range_are_refused_by_name(spec: type[Spec], data: dict[str, float]) -> None:
    with pytest.raises(SpecError, match=next(iter(data))):
        spec.from_data(data)
