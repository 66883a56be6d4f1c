"""Specs of units: channels, places, what they refuse."""

import pytest

from search_spaces.blocks.convolution import Dense
from search_spaces.blocks.units import (
    AggregationTree,
    Basic,
    Bottleneck,
    DenseUnit,
    FullyExploited,
    Inception,
    UnitPlan,
)
from search_spaces.errors import SpecError


def _params(unit, inputs: int, width: int, stride: int = 1) -> int:
    return sum(p.numel() for p in unit.build(unit.plan(inputs, width, stride)).parameters())


def test_parameters_counted_by_hand() -> None:
    assert _params(Basic(), 64, 64) == 2 * 9 * 64 * 64 + 4 * 64
    assert _params(Bottleneck(), 256, 64) == 2 * 256 * 64 + 9 * 64 * 64 + 2 * (64 + 64 + 256)
    # A dense layer: norm, 1x1 to 4 k, norm, 3x3 to k.
    assert _params(DenseUnit(), 64, 32) == 2 * 64 + 64 * 128 + 2 * 128 + 9 * 128 * 32


def test_b02_a_dense_block_of_l_units_has_c_plus_l_k_channels() -> None:
    channels, unit = 64, DenseUnit()
    for _ in range(6):
        channels = unit.out_channels(channels, 32, 1)
    assert channels == 64 + 6 * 32
    assert unit.out_channels(channels, 32, 2) == channels // 2 + 32


def test_b03_inception_has_the_sum_of_its_branches() -> None:
    assert Inception().out_channels(192, 64, 1) == 64 + 128 + 32 + 32
    with pytest.raises(SpecError, match="a quarter of its width; got 6"):
        Inception().build(Inception().plan(16, 6))


def test_b07_the_root_of_a_tree_reads_all() -> None:
    plan = AggregationTree().plan(8, 8)
    tree = AggregationTree(levels=1).build(plan)
    assert tree.node.conv.in_channels == 8 + 8
    # Two levels: the root reads the two units of the last subtree and the output of the first one.
    deep = AggregationTree(levels=2).build(plan)
    assert deep.second.node.conv.in_channels == 8 + 8 + 8
    assert sum(isinstance(module, type(Basic().build(plan))) for module in deep.modules()) == 4


def test_b06_what_is_handed_on_does_not_change_the_channels() -> None:
    for kept in (0.25, 0.5):
        assert FullyExploited(kept=kept).out_channels(16, 16, 1) == 16
    assert FullyExploited(kept=0.25).handed_on(16) == 4
    with pytest.raises(SpecError, match="needs channels to hand on; got 1"):
        FullyExploited().build(UnitPlan(1, 1, 1))


def test_places_of_the_convolutions() -> None:
    plan = UnitPlan(8, 4, 16, stride=2, before=2, after=4, dilation=3, conv=Dense())
    assert (plan.first(8, 4).stride, plan.first(8, 4).dilation) == ((2, 2), 2)
    assert (plan.last(4, 4).stride, plan.last(4, 4).dilation) == ((1, 1), 12)
    assert not plan.keeps and UnitPlan(8, 4, 8).keeps
