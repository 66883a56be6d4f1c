import pytest

from search_spaces.recipe import Cosine, GradualWarmup, Schedule, Warmup
from search_spaces.spec import SpecError, kinds


def test_schedules_and_warmups_are_kinds_of_their_own() -> None:
    assert set(kinds(Schedule)) >= {"constant", "cosine"}
    assert set(kinds(Warmup)) >= {"gradual_warmup"}
    assert not set(kinds(Schedule)) & set(kinds(Warmup))


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(SpecError, match="final"):
        Cosine.from_data({"final": 1.5})
    with pytest.raises(SpecError, match="epochs"):
        GradualWarmup.from_data({"epochs": -1})
