"""Specs of convolutions and the places that they take."""

import pytest
import torch

from search_spaces.blocks.convolution import Atrous, Convolution, ConvPlan, Dense
from search_spaces.errors import SpecError
from search_spaces.spec import kinds
from tests.search_spaces.networks.checks import counted_macs

KINDS = sorted(kinds(Convolution))


def test_an_even_kernel_is_refused_by_all_but_the_dense() -> None:
    plan = ConvPlan(8, 8, kernel=(2, 3))
    assert Dense().build(plan).kernel_size == (2, 3)
    for kind in set(KINDS) - {"dense"}:
        with pytest.raises(SpecError, match=r"^a kernel has a middle; got \[2, 3\]"):
            Convolution.from_data({"kind": kind}).build(plan)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kernel", [(1, 1), (3, 5), (7, 1)], ids=str)
@pytest.mark.parametrize("stride", [(1, 1), (2, 3), (3, 1)], ids=str)
def test_every_convolution_takes_any_odd_kernel_and_any_strides(
    kind: str, kernel: tuple[int, int], stride: tuple[int, int]
) -> None:
    for inputs, outputs, dilation in ((8, 12, 1), (12, 8, 2)):
        module = Convolution.from_data({"kind": kind}).build(ConvPlan(inputs, outputs, kernel, stride, dilation))
        x = torch.randn(2, inputs, 10, 14)
        expected = (2, outputs, -(-10 // stride[0]), -(-14 // stride[1]))
        assert module.train()(x).shape == module.eval()(x).shape == expected


@pytest.mark.parametrize("kind", KINDS)
def test_costs_hold_at_strides_and_dilations(kind: str) -> None:
    from search_spaces.cost import network_cost

    with torch.device("meta"):
        module = Convolution.from_data({"kind": kind}).build(ConvPlan(8, 12, (3, 5), (2, 1), 2))
    assert network_cost(module, (8, 12, 10)).macs == counted_macs(module, 8, 12, 10) > 0


def test_parameters_of_a_dense_convolution() -> None:
    found = Dense().cost(64, (64, 64))
    assert found is not None
    assert (found.params, found.macs) == (9 * 64 * 64, 16 * 16 * 9 * 64 * 64)


@pytest.mark.parametrize("dilation", [1, 2, 3, 4, 6])
def test_a04_an_atrous_convolution_sees_further_with_the_same_weights(dilation: int) -> None:
    module = Atrous(dilation=dilation).build(ConvPlan(1, 1))
    assert sum(p.numel() for p in module.parameters()) == 9
    torch.nn.init.ones_(module.weight)  # type: ignore[arg-type]
    impulse = torch.zeros(1, 1, 31, 31)
    impulse[0, 0, 15, 15] = 1
    rows = module(impulse)[0, 0].sum(1).nonzero().flatten()
    # The effective kernel is k + (k - 1)(d - 1).
    assert rows[-1] - rows[0] + 1 == 3 + 2 * (dilation - 1)


def test_dilations_multiply() -> None:
    assert Atrous(dilation=3).build(ConvPlan(1, 1, dilation=2)).dilation == (6, 6)


def test_a04_a_stack_of_dilation_two_touches_one_parity_class() -> None:
    x = torch.zeros(1, 1, 21, 21)
    x[0, 0, 10, 10] = 1
    for _ in range(3):
        module = Atrous(dilation=2).build(ConvPlan(1, 1))
        torch.nn.init.ones_(module.weight)  # type: ignore[arg-type]
        x = module(x)
    touched = x[0, 0].nonzero()
    assert len(touched) == 7 * 7 and bool((touched % 2 == 0).all())
