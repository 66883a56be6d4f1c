"""Specs of convolutions and the places that they take."""

import pytest

from search_spaces.blocks.convolution import Convolution, ConvPlan, Dense
from search_spaces.errors import SpecError
from search_spaces.spec import kinds


def test_an_even_kernel_is_refused_by_all_but_the_dense() -> None:
    plan = ConvPlan(8, 8, kernel=(2, 3))
    assert Dense().build(plan).kernel_size == (2, 3)
    for kind in set(kinds(Convolution)) - {"dense"}:
        with pytest.raises(SpecError, match="a kernel has a middle"):
            Convolution.from_data({"kind": kind}).build(plan)


def test_parameters_of_a_dense_convolution() -> None:
    found = Dense().cost(64, (64, 64))
    assert found is not None
    assert (found.params, found.macs) == (9 * 64 * 64, 16 * 16 * 9 * 64 * 64)
