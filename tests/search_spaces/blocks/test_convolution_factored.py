"""Specs of factored convolutions: their weights in numbers, and the channels that they refuse."""

import pytest

from search_spaces.blocks.convolution import Convolution, ConvPlan, Dense
from search_spaces.blocks.convolution_factored import (
    Asymmetric,
    Blaze,
    Factorized,
    Heterogeneous,
    LargeKernel,
    Separable,
)
from search_spaces.cost import network_cost
from search_spaces.errors import SpecError


def weights(spec: Convolution, plan: ConvPlan) -> int:
    return sum(p.numel() for p in spec.build(plan).parameters() if p.ndim > 1)


@pytest.mark.parametrize(("kernel", "groups"), [(3, 1), (3, 2), (5, 1)])
def test_a01_three_branches_have_so_many_weights(kernel: int, groups: int) -> None:
    found = weights(Asymmetric(groups=groups), ConvPlan(4, 6, (kernel, kernel)))
    assert found == (kernel**2 + 2 * kernel) * 4 * 6 // groups
    assert weights(Asymmetric(), ConvPlan(4, 6)) == 360


def test_a09_a_separable_convolution_has_a_small_share_of_the_weights() -> None:
    plan = ConvPlan(64, 128, (5, 5))
    found = weights(Separable(), plan)
    assert found == 25 * 64 + 64 * 128
    assert found / weights(Dense(), plan) == pytest.approx(1 / 128 + 1 / 25)
    assert weights(Separable(activation=True), plan) == found


def test_a10_the_weights_of_blaze_blocks() -> None:
    assert weights(Blaze(), ConvPlan(24, 24, (5, 5))) == 600 + 576
    # A double block, of 96 channels and 24 between: 5x5 and 1x1, then the same the other way round.
    assert weights(Blaze(inner=24), ConvPlan(96, 96, (5, 5))) == 25 * 96 + 96 * 24 + 25 * 24 + 24 * 96


@pytest.mark.parametrize("n", [3, 5, 7])
def test_a11_factors_have_fewer_weights(n: int) -> None:
    channels = 8
    plan = ConvPlan(channels, channels, (n, n))
    assert weights(Factorized(), plan) == 2 * n * channels**2
    assert weights(Factorized(form="stack"), plan) == n // 2 * 9 * channels**2
    assert weights(Factorized(form="stack"), plan._replace(kernel=(5, 5))) == 18 * channels**2


@pytest.mark.parametrize("k", [7, 11, 15])
def test_a12_a_large_kernel_has_few_weights(k: int) -> None:
    assert weights(LargeKernel(), ConvPlan(6, 10, (k, k))) == 2 * k * 6 * 10 + 2 * k * 10**2


@pytest.mark.parametrize(("parts", "share"), [(1, 1.0), (2, 0.556), (4, 0.333), (8, 0.222)])
def test_a13_the_share_of_weights_and_of_products(parts: int, share: float) -> None:
    plan = ConvPlan(32, 16)
    module = Heterogeneous(parts=parts).build(plan)
    found = sum(p.numel() for p in module.parameters())
    assert found / (9 * 32 * 16) == pytest.approx(1 / parts + (1 - 1 / parts) / 9)
    assert found / (9 * 32 * 16) == pytest.approx(share, abs=5e-4)
    assert network_cost(module, (32, 6, 6)).macs == 36 * found


@pytest.mark.parametrize(
    ("spec", "plan", "message"),
    [
        (Asymmetric(groups=3), ConvPlan(6, 4), "groups: 6 channels in and 4 out do not divide into groups; got 3"),
        (Heterogeneous(), ConvPlan(6, 8), "parts: 6 channels in and 8 out do not divide into groups; got 4"),
        (Heterogeneous(parts=2), ConvPlan(4, 3), "allowed a divisor of 1"),
    ],
)
def test_channels_that_do_not_divide_are_refused(spec: Convolution, plan: ConvPlan, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec.check_plan(plan)
    assert message in str(caught.value)
