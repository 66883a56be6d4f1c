import pytest

from search_spaces.recipe import Balance, Curriculum, LanguageRecipe, OversampleSmall, Staged
from search_spaces.recipe.trick import ALL_TASKS
from search_spaces.spec import SpecError, kinds


def test_kinds_and_their_tasks() -> None:
    assert set(kinds(Balance)) == {"balance_classes", "oversample_small"}
    assert set(kinds(Curriculum)) == {"easy_first", "staged"}
    assert OversampleSmall.tasks == {"detection"} and Staged.tasks == ALL_TASKS


def test_text_has_no_easy_rows() -> None:
    with pytest.raises(SpecError, match="^curriculum: easy_first is for .*; got it in language; allowed staged"):
        LanguageRecipe.from_data({"curriculum": {"kind": "easy_first"}})
    assert LanguageRecipe(curriculum=Staged()).curriculum == Staged()


@pytest.mark.parametrize(
    ("base", "data"),
    [
        (Balance, {"kind": "balance_classes", "power": 1.5}),
        (Balance, {"kind": "oversample_small", "ratio": 0.5}),
        (Curriculum, {"kind": "easy_first", "start": 0.0}),
        (Curriculum, {"kind": "staged", "frozen": 1.0}),
    ],
)
def test_values_out_of_range_are_refused_by_name(base: type[Balance | Curriculum], data: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=f"^{list(data)[1]}: out of range"):
        base.from_data(data)
