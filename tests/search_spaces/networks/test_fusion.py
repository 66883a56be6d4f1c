"""Modules of fusion against their formulas."""

import pytest
import torch
from torch.nn import functional as F

from search_spaces.blocks.base import Feature
from search_spaces.blocks.fusion import Add, CascadeFusion, Concat, Product, WeightedAdd
from search_spaces.networks.fusion import AddModule, ConcatModule

TWO = (Feature(3, 4), Feature(3, 8))


def _params(spec, inputs):
    return sum(p.numel() for p in spec.build(inputs).parameters())


def test_e01_the_sum_is_a_concatenation_whose_next_layer_has_tied_weights() -> None:
    x, y, weight = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8), torch.randn(5, 3, 3, 3)
    added = F.conv2d(AddModule()([x, y]), weight)
    concatenated = F.conv2d(ConcatModule()([x, y]), torch.cat([weight, weight], 1))
    assert (added - concatenated).abs().max() < 2e-5


def test_others_are_brought_to_the_size_of_the_first() -> None:
    maps = [torch.zeros(1, 2, 8, 6), torch.ones(1, 2, 4, 3), torch.ones(1, 2, 1, 1)]
    assert torch.equal(AddModule()(maps), torch.full((1, 2, 8, 6), 2.0))
    assert ConcatModule()(maps).shape == (1, 6, 8, 6)
    assert torch.equal(
        Product().build(TWO)([torch.full((1, 3, 8, 6), 2.0), torch.full((1, 3, 4, 3), 3.0)]).unique(),
        torch.tensor([6.0]),
    )


def test_alignment_costs_one_1x1_convolution_a_map_with_other_channels() -> None:
    assert _params(Add(), TWO) == _params(Add(align=True), TWO) == _params(Concat(), TWO) == 0
    inputs = (Feature(3, 4), Feature(3, 8), Feature(5, 16))
    assert _params(Add(align=True), inputs) == 5 * 3 + 3
    maps = [torch.randn(2, f.channels, 8, 8) for f in inputs]
    module = Add(align=True).build(inputs)
    assert torch.equal(module(maps), maps[0] + maps[1] + module.align[2](maps[2]))


@pytest.mark.parametrize(("normalizer", "gap"), [("none", 1e-6), ("softmax", 1e-6), ("fast", 1e-3)])
def test_e03_equal_weights_give_the_mean(normalizer: str, gap: float) -> None:
    inputs = (*TWO, Feature(3, 16))
    maps = [torch.randn(2, 3, 8, 8) for _ in inputs]
    module = WeightedAdd(normalizer=normalizer).build(inputs)
    assert (module(maps) - torch.stack(maps).mean(0)).abs().max() < gap
    assert [name for name, _ in module.named_parameters()] == ["weights"] and module.weights.shape == (3,)


def test_what_becomes_of_the_weights() -> None:
    found = {}
    for normalizer in ("none", "softmax", "fast"):
        module = WeightedAdd(normalizer=normalizer).build(TWO)
        module.weights.data = torch.tensor([1.0, -3.0])
        found[normalizer] = module.normalized().tolist()
    assert found["none"] == [1.0, -3.0]
    assert found["softmax"] == pytest.approx([1 / (1 + torch.e**-4), torch.e**-4 / (1 + torch.e**-4)])
    assert found["fast"] == pytest.approx([1 / 1.0001, 0.0])


def test_a_concatenation_is_reduced_to_its_width() -> None:
    assert _params(Concat(width=4), (Feature(3, 4), Feature(5, 8))) == 8 * 4 + 8
    module, maps = Concat(width=4).build(TWO), [torch.randn(2, 3, 8, 8), torch.randn(2, 3, 4, 4)]
    joined = torch.cat([maps[0], F.interpolate(maps[1], size=(8, 8), mode="bilinear")], 1)
    assert torch.equal(module(maps), module.reduce(joined))


def test_e09_cascade_feature_fusion_has_the_size_of_the_fine_map() -> None:
    inputs = (Feature(3, 8), Feature(5, 16))
    spec = CascadeFusion(width=4)
    assert _params(spec, inputs) == (3 * 4 + 8) + (9 * 5 * 4 + 8)
    module, maps = spec.build(inputs).eval(), [torch.randn(1, 3, 9, 12), torch.randn(1, 5, 5, 6)]
    assert module(maps).shape == (1, 4, 9, 12)
    fine, coarse = module.convs
    up = F.interpolate(maps[1], size=(9, 12), mode="bilinear", align_corners=False)
    expected = F.relu(
        fine[1](F.conv2d(maps[0], fine[0].weight)) + coarse[1](F.conv2d(up, coarse[0].weight, padding=2, dilation=2))
    )
    assert torch.allclose(module(maps), expected, atol=1e-6)
    assert (module(maps) == 0).any()  # the ReLU stands behind the sum
