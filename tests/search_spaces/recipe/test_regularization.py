import pytest

from search_spaces.recipe import L1, BatchNorm, Dropout, DropPath, EarlyStopping, Ema
from search_spaces.spec import Spec, SpecError


@pytest.mark.parametrize(
    ("spec", "data"),
    [
        (L1, {"weight": -1.0}),
        (BatchNorm, {"momentum": 0.0}),
        (Dropout, {"rate": 1.0}),
        (DropPath, {"rate": -0.1}),
        (Ema, {"decay": 1.0}),
        (EarlyStopping, {"patience": 0}),
    ],
)
def test_values_out_of_range_are_refused_by_name(spec: type[Spec], data: dict[str, float]) -> None:
    with pytest.raises(SpecError, match=next(iter(data))):
        spec.from_data(data)


def test_defaults_are_those_of_the_papers() -> None:
    assert Dropout().rate == 0.5
    assert (EarlyStopping().patience, DropPath().rate, BatchNorm().momentum) == (10, 0.3, 0.1)


def test_early_stopping_watches_validation_alone() -> None:
    with pytest.raises(SpecError, match="metric"):
        EarlyStopping.from_data({"metric": "test/accuracy"})
