import pytest

from search_spaces.recipe import Augmentation, Cutout, Erasing, Mix, Normalize
from search_spaces.recipe.trick import IMAGE_TASKS
from search_spaces.spec import Spec, SpecError, kinds


def test_mixes_are_no_augmentations() -> None:
    assert set(kinds(Augmentation)) >= {"crop", "flip", "cutout", "erasing", "color", "auto_augment", "multi_scale"}
    assert not {"mixup", "ricap", "normalize"} & set(kinds(Augmentation))
    assert not set(kinds(Mix)) & set(kinds(Augmentation))


def test_they_are_for_images() -> None:
    specs = [Normalize, *kinds(Augmentation).values()]
    assert all(spec.tasks <= IMAGE_TASKS for spec in specs)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("spec", "data"),
    [(Cutout, {"length": 1.2}), (Cutout, {"holes": 0}), (Erasing, {"fill": "red"}), (Erasing, {"aspect": 0.0})],
)
def test_values_out_of_range_are_refused_by_name(spec: type[Spec], data: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=next(iter(data))):
        spec.from_data(data)


def test_areas_are_in_order() -> None:
    with pytest.raises(SpecError, match="smallest must not exceed largest; got 0.5 and 0.4"):
        Erasing.from_data({"smallest": 0.5})
