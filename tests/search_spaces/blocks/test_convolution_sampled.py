"""Specs of convolutions that move: their parameters, and the channels that they refuse."""

import pytest

from search_spaces.blocks.convolution import Convolution, ConvPlan
from search_spaces.blocks.convolution_sampled import Active, Deformable, Shift, SparseShift
from search_spaces.errors import SpecError


def params(spec: Convolution, plan: ConvPlan) -> int:
    return sum(p.numel() for p in spec.build(plan).parameters())


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("modulated", "numbers"), [(False, 2), (True, 3)])
def test_a02_the_offsets_are_a_convolution_of_their_own(groups: int, modulated: bool, numbers: int) -> None:
    found = params(Deformable(groups=groups, modulated=modulated), ConvPlan(8, 6, (3, 5)))
    outputs = numbers * groups * 15
    assert found == 15 * 8 * 6 + (15 * 8 + 1) * outputs


def test_a03_positions_add_two_numbers_a_tap() -> None:
    assert params(Active(), ConvPlan(8, 6, (3, 5))) == 15 * 8 * 6 + 2 * 15


def test_a07_shifting_takes_no_parameters() -> None:
    assert params(Shift(), ConvPlan(9, 6)) == 9 * 6
    assert params(Shift(expansion=3), ConvPlan(9, 6)) == 9 * 27 + 2 * 27 + 27 * 6


def test_a08_a_channel_has_two_numbers() -> None:
    assert params(SparseShift(), ConvPlan(9, 6)) == 2 * 9 + 9 * 6


def test_groups_that_do_not_divide_are_refused_by_path() -> None:
    with pytest.raises(SpecError, match="^groups: 6 channels do not divide into groups; got 4"):
        Deformable(groups=4).check_plan(ConvPlan(6, 8))
    Deformable(groups=4).check_plan(ConvPlan(8, 6))
