import pytest

from search_spaces.recipe import Initialization, LayerTransfer, Recipe
from search_spaces.spec import SpecError, kinds


def test_ways_to_begin_are_kinds_of_their_base() -> None:
    assert set(kinds(Initialization)) == {"xavier", "kaiming", "orthogonal", "layer_transfer"}
    recipe = Recipe.from_data({"init": {"kind": "layer_transfer", "path": "runs/a/best", "noise": 0.01}})
    assert recipe.init == LayerTransfer(path="runs/a/best", noise=0.01)
    assert Recipe().init is None


@pytest.mark.parametrize("data", [{"kind": "xavier", "gain": 0.0}, {"kind": "kaiming", "fan": "up"}])
def test_values_out_of_range_are_refused_by_name(data: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=f"^{list(data)[-1]}"):
        Initialization.from_data(data)


def test_a_path_is_needed() -> None:
    with pytest.raises(SpecError, match="path"):
        Initialization.from_data({"kind": "layer_transfer"})
