import pytest

from search_spaces.recipe import Color, PcaColor
from search_spaces.spec import Spec, SpecError


@pytest.mark.parametrize(
    ("spec", "data"), [(Color, {"brightness": 1.5}), (Color, {"hue": 0.6}), (PcaColor, {"sigma": -0.1})]
)
def test_values_out_of_range_are_refused_by_name(spec: type[Spec], data: dict[str, float]) -> None:
    with pytest.raises(SpecError, match=f"^{next(iter(data))}: out of range"):
        spec.from_data(data)


def test_all_four_shifts_are_on_by_default() -> None:
    assert Color().to_data() == {"kind": "color", "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.4}
