"""Modules of units: identities that hold whatever the weights."""

import torch
from torch import nn

from search_spaces.blocks.attention import SqueezeExcitation
from search_spaces.blocks.units import (
    AggregationTree,
    Basic,
    Bottleneck,
    DenseUnit,
    FullyExploited,
    InceptionResidual,
    LightPose,
    UnitPlan,
)


def _x(channels: int = 8) -> torch.Tensor:
    return torch.randn(2, channels, 9, 6)


def test_b01_with_a_last_norm_of_zero_a_unit_is_the_relu_of_its_input() -> None:
    x = _x()
    for unit in (Basic(zero=True), Bottleneck(zero=True)):
        module = unit.build(unit.plan(8, 8 // unit.expansion))
        assert torch.equal(module(x), x.relu())


def test_o02_a_gate_of_zero_leaves_the_unit_out_and_one_leaves_it_as_it_is() -> None:
    x = _x().relu()
    for unit in (Basic(), Bottleneck(), InceptionResidual(), LightPose()):
        module = unit.build(unit.plan(8, 8 // unit.expansion)).eval()
        assert torch.equal(module(x, torch.zeros(2)), x)
        assert torch.equal(module(x, torch.ones(2)), module(x))
        assert unit.may_be_left_out


def test_b05_a_scale_of_zero_is_the_relu_of_the_input() -> None:
    unit = InceptionResidual(scale=0.0)
    x = _x()
    assert torch.equal(unit.build(unit.plan(8, 2))(x), x.relu())


def test_b08_a_light_pose_unit_without_its_last_convolution_is_its_input() -> None:
    unit = LightPose()
    module = unit.build(unit.plan(8, 2))
    nn.init.zeros_(module.conv3.weight)
    x = _x()
    assert torch.equal(module(x), x.relu())


def test_b02_a_dense_unit_hands_its_input_on() -> None:
    unit = DenseUnit()
    x = _x().requires_grad_()
    found = unit.build(unit.plan(8, 3))(x)
    assert torch.equal(found[:, :8], x) and found.shape[1] == 11
    found[:, :8].sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))  # the gradient of what is handed on arrives directly


def test_b06_channels_that_are_not_worked_on_are_bitwise_copies() -> None:
    unit = FullyExploited(kept=0.25)
    module = unit.build(unit.plan(8, 8)).eval()
    x = _x()
    assert torch.equal(module(x)[:, :2], x[:, 6:])
    # Another unit behind works on them: all channels change within two units of a half each.
    half = FullyExploited(kept=0.5)
    twice = half.build(half.plan(8, 8))(half.build(half.plan(8, 8))(x))
    assert not any(torch.equal(twice[:, i], x[:, j]) for i in range(8) for j in range(8))


def test_b07_a_tree_of_one_level_is_two_units_and_a_node() -> None:
    plan = AggregationTree().plan(8, 8)
    tree, x = AggregationTree().build(plan).eval(), _x()
    first = tree.first(x)
    assert torch.equal(tree(x), tree.node(first, tree.second(first)))
    nn.init.zeros_(tree.node.conv.weight)
    tree.node.residual = True
    assert torch.equal(tree(x), tree.second(first))


def test_b09_attention_stands_behind_the_residual() -> None:
    plan = UnitPlan(32, 32, 32, attention=SqueezeExcitation(reduction=16))
    module, plain = Basic().build(plan), Basic().build(UnitPlan(32, 32, 32))
    more = sum(p.numel() for p in module.parameters()) - sum(p.numel() for p in plain.parameters())
    assert more == 2 * 32 * 2 + 2 + 32
    x = _x(32)
    residual = module.residual(x)
    assert torch.allclose(module(x), (module.attention(residual) + x).relu(), atol=1e-6)


def test_a_shortcut_may_average() -> None:
    module = Basic().build(UnitPlan(4, 4, 4, stride=2, average=True))
    assert module.downsample is not None
    assert torch.equal(module.downsample[0](torch.ones(1, 4, 5, 5)), torch.ones(1, 4, 3, 3))


def test_plain_convolutions_are_drawn_for_relus() -> None:
    unit = Bottleneck().build(Bottleneck().plan(256, 64, 2))
    for layer, spread in ((unit.conv1, 64), (unit.conv2, 64 * 9), (unit.conv3, 256), (unit.downsample[0], 256)):
        assert abs(layer.weight.std().item() / (2 / spread) ** 0.5 - 1) < 0.05
