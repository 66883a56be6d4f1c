import pytest

from search_spaces.recipe import ClassificationRecipe, Cosine, GradualWarmup, RateScaling, Schedule, Warmup
from search_spaces.spec import Spec, SpecError, kinds


def test_schedules_and_warmups_are_kinds_of_their_own() -> None:
    assert set(kinds(Schedule)) >= {"constant", "cosine"}
    assert set(kinds(Warmup)) >= {"gradual_warmup"}
    assert not set(kinds(Schedule)) & set(kinds(Warmup))


def test_a_warmup_lasts_five_epochs_by_itself_and_one_in_a_recipe() -> None:
    assert GradualWarmup().epochs == 5.0
    assert ClassificationRecipe().warmup == GradualWarmup(epochs=1.0)


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(SpecError, match="final"):
        Cosine.from_data({"final": 1.5})
    with pytest.raises(SpecError, match="epochs"):
        GradualWarmup.from_data({"epochs": -1})


@pytest.mark.parametrize(
    ("base", "data"),
    [
        (Schedule, {"kind": "step_decay", "epochs": 0.0}),
        (Schedule, {"kind": "multi_step_decay", "milestones": [1.5]}),
        (Schedule, {"kind": "cosine_restarts", "cycles": 0}),
        (Schedule, {"kind": "plateau", "patience": 0}),
        (Schedule, {"kind": "plateau", "metric": "test/loss"}),
        (Warmup, {"kind": "constant_warmup", "factor": 0.0}),
        (Warmup, {"kind": "constant_warmup", "error": 2.0}),
        (RateScaling, {"rule": "cubic"}),
    ],
)
def test_each_field_has_its_range(base: type[Spec], data: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=f"^{list(data)[-1]}"):
        base.from_data(data)
