import pytest

from search_spaces.recipe import Policy
from search_spaces.spec import SpecError, kinds


def test_policies_are_kinds_of_one_field() -> None:
    assert set(kinds(Policy)) == {"auto_augment", "rand_augment", "trivial_augment"}


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "auto_augment", "policy": "mnist"},
        {"kind": "rand_augment", "operations": 16},
        {"kind": "rand_augment", "magnitude": 30.5},
    ],
)
def test_values_out_of_range_are_refused_by_name(data: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=f"^{list(data)[1]}"):
        Policy.from_data(data)
