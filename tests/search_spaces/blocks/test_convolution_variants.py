"""Specs of dynamic filters, octave and ternary convolutions in numbers."""

import pytest

from search_spaces.blocks.convolution import Convolution, ConvPlan
from search_spaces.blocks.convolution_variants import DynamicFilter, Octave, Ternary
from search_spaces.cost import network_cost
from search_spaces.errors import SpecError


def params(spec: Convolution, plan: ConvPlan) -> int:
    return sum(p.numel() for p in spec.build(plan).parameters())


def test_a05_the_filters_have_a_convolution_of_their_own() -> None:
    plan = ConvPlan(8, 6, (5, 5))
    assert params(DynamicFilter(), plan) == (25 * 8 + 1) * 25 + 8 * 6
    assert params(DynamicFilter(scope="global"), plan) == (8 + 1) * 25 + 8 * 6


@pytest.mark.parametrize(("alpha", "ratio"), [(0, 1), (0.125, 0.824), (0.25, 0.672), (0.5, 0.438), (0.75, 0.297)])
def test_a06_the_weights_stay_and_the_products_shrink(alpha: float, ratio: float) -> None:
    module = Octave(alpha=alpha).build(ConvPlan(64, 64))
    found = network_cost(module, (64, 8, 8))
    assert found.params == 36864
    share = found.macs / (64 * 36864)
    assert share == pytest.approx(1 - 0.75 * alpha * (2 - alpha)) and share == pytest.approx(ratio, abs=1e-3)


@pytest.mark.parametrize("place", ["first", "last"])
def test_a06_the_ends_of_a_stack_have_as_many_weights(place: str) -> None:
    spec = Octave.from_data({"kind": "octave", "alpha": 0.5, "place": place})
    assert params(spec, ConvPlan(6, 10)) == 9 * 6 * 10
    # Half of the channels on one side are computed on a quarter of the positions.
    assert network_cost(spec.build(ConvPlan(6, 10)), (6, 4, 4)).macs == 16 * 540 * (1 + 1 / 4) / 2


def test_a06_needs_even_maps() -> None:
    assert Octave().size_multiple == 2


def test_a15_no_more_parameters_than_a_convolution() -> None:
    assert params(Ternary(), ConvPlan(8, 6, (3, 5))) == 15 * 8 * 6


@pytest.mark.parametrize("data", [{"kind": "octave", "alpha": 1.0}, {"kind": "ternary", "start": 0}])
def test_values_out_of_range_are_refused(data: dict[str, object]) -> None:
    with pytest.raises(SpecError, match="alpha|start"):
        Convolution.from_data(data)
