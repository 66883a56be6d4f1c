import pytest

from search_spaces.recipe import Adam, AdamW, ClipGradients, Optimizer, Recipe, Sgd, TwoPhase
from search_spaces.spec import SpecError, kinds


def test_optimizers_are_kinds_of_their_base() -> None:
    assert set(kinds(Optimizer)) == {"sgd", "adam", "adamw", "adabound", "two_phase"}
    assert "clip_gradients" not in kinds(Optimizer)
    assert Optimizer.from_data({"kind": "sgd", "lr": 0.5}) == Sgd(lr=0.5)


@pytest.mark.parametrize(
    ("data", "base"),
    [
        ({"kind": "sgd", "lr": 0.0}, Optimizer),
        ({"kind": "sgd", "momentum": 1.0}, Optimizer),
        ({"kind": "adamw", "beta2": -0.1}, Optimizer),
        ({"kind": "sgd", "weight_decay": -1e-4}, Optimizer),
        ({"kind": "adabound", "final_lr": 0.0}, Optimizer),
        ({"kind": "two_phase", "switch": 1.5}, Optimizer),
        ({"norm": 0.0}, ClipGradients),
    ],
)
def test_values_out_of_range_are_refused_by_name(data: dict[str, object], base: type[Optimizer]) -> None:
    name = next(key for key in data if key != "kind")
    with pytest.raises(SpecError, match=f"^{name}: out of range"):
        base.from_data(data)


def test_adamw_defaults_are_written_out() -> None:
    assert AdamW().to_data()["beta2"] == 0.999
    assert AdamW().weight_decay == 0.01


def test_a_phase_is_one_optimizer() -> None:
    assert TwoPhase.from_data({"first": {"kind": "adam"}, "second": {"kind": "sgd"}}).first == Adam()
    with pytest.raises(SpecError, match="a phase has one optimizer; got two_phase in two_phase"):
        TwoPhase.from_data({"first": {"kind": "two_phase"}})


def test_a_field_called_first_makes_no_domain_of_a_spec() -> None:
    data = {"first": {"kind": "adam"}, "kind": "two_phase"}
    assert Recipe.from_data({"optimizer": data}).optimizer == TwoPhase(first=Adam())
