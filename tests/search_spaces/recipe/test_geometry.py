import pytest

from search_spaces.recipe import CopyPaste, Crop, Cropping, IouCrop, MultiScale, ResizedCrop, Resizing, ResolutionStages
from search_spaces.spec import Spec, SpecError, kinds


def test_crops_and_resizings_are_kinds_of_one_field_each() -> None:
    assert set(kinds(Cropping)) == {"crop", "resized_crop", "iou_crop"}
    assert set(kinds(Resizing)) == {"multi_scale", "resolution_stages"}


def test_what_needs_boxes_is_for_detection() -> None:
    assert IouCrop.tasks == CopyPaste.tasks == {"detection"}
    assert Crop.tasks == {"classification", "segmentation", "detection"}


@pytest.mark.parametrize(
    ("spec", "data", "rule"),
    [
        (Crop, {"padding": 0.6}, "padding: out of range"),
        (IouCrop, {"overlaps": [1.5]}, "overlaps/0: out of range"),
        (ResizedCrop, {"smallest": 0.5, "largest": 0.4}, "smallest must not exceed largest; got 0.5 and 0.4"),
        (MultiScale, {"smallest": 2.0, "largest": 1.0}, "smallest must not exceed largest; got 2.0 and 1.0"),
        (ResolutionStages, {"shares": []}, "shares"),
        (CopyPaste, {"copies": 0}, "copies: out of range"),
    ],
)
def test_values_out_of_range_are_refused_by_name(spec: type[Spec], data: dict[str, object], rule: str) -> None:
    with pytest.raises(SpecError, match=rule):
        spec.from_data(data)
