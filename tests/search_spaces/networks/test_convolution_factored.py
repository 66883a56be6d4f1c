"""What factored convolutions compute, against plain ones."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.blocks.convolution import ConvPlan
from search_spaces.blocks.convolution_factored import (
    Asymmetric,
    Blaze,
    Factorized,
    Heterogeneous,
    LargeKernel,
    Separable,
)


def zeroed(module: nn.Module) -> Any:
    for weight in module.parameters():
        nn.init.zeros_(weight)
    return module


def moved(module: nn.Module, x: Tensor) -> Any:
    """The module in eval mode, its running figures and norms far from where they began."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias)
    for _ in range(3):
        module.train()(x * 2 + 1)
    return module.eval()


@pytest.mark.parametrize(("stride", "groups", "kernel"), [(1, 1, 3), (2, 1, 3), (1, 2, 3), (2, 2, 3), (1, 1, 5)])
def test_a01_the_branches_are_one_convolution(stride: int, groups: int, kernel: int) -> None:
    plan = ConvPlan(4, 6, (kernel, kernel), (stride, stride))
    x = torch.randn(2, 4, 9, 8)
    module = moved(Asymmetric(groups=groups).build(plan), x)
    with torch.no_grad():
        expected = module(x)
        one = module.collapsed()
        found = one(x)
    assert type(one) is nn.Conv2d
    assert sum(p.numel() for p in one.parameters()) == kernel**2 * 4 * 6 // groups + 6
    assert (found - expected).abs().max() / expected.abs().max() < 1e-5


@pytest.mark.parametrize("kernel", [(3, 5), (1, 3), (1, 1)])
def test_a01_lines_that_are_no_square_lie_on_its_skeleton(kernel: tuple[int, int]) -> None:
    x = torch.randn(2, 3, 9, 8)
    module = moved(Asymmetric().build(ConvPlan(3, 5, kernel, dilation=2)), x)
    with torch.no_grad():
        expected = module(x)
        assert torch.allclose(module.collapsed()(x), expected, atol=1e-5)


def test_a01_the_scales_start_at_gamma() -> None:
    module = Asymmetric(gamma=1 / 3).build(ConvPlan(2, 3))
    scales = [part.weight for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(scales) == 3 and all(torch.allclose(scale, torch.full((3,), 1 / 3)) for scale in scales)


def test_a09_an_activation_stands_between_where_asked_for() -> None:
    kinds = [type(part).__name__ for part in Separable(activation=True).build(ConvPlan(4, 6))]
    assert kinds == ["Conv2d", "BatchNorm", "ReLU", "Conv2d"]
    module: Any = Separable().build(ConvPlan(2, 3))
    x = torch.randn(1, 2, 5, 5)
    dense = module.pointwise.weight * module.depthwise.weight.transpose(0, 1)
    assert torch.allclose(module(x), F.conv2d(x, dense, padding=1), atol=1e-6)


@pytest.mark.parametrize("inner", [None, 3])
def test_a10_without_weights_a_blaze_block_is_its_shortcut(inner: int | None) -> None:
    x = torch.randn(2, 4, 6, 8)
    same = zeroed(Blaze(inner=inner).build(ConvPlan(4, 4, (5, 5))))
    assert torch.equal(same(x).relu(), x.relu())
    halved = zeroed(Blaze(inner=inner).build(ConvPlan(4, 7, (5, 5), (2, 2))))(x)
    assert halved.shape == (2, 7, 3, 4)
    assert torch.equal(halved[:, :4], F.max_pool2d(x, 2)) and not halved[:, 4:].any()
    assert not zeroed(Blaze(inner=inner).build(ConvPlan(4, 3)))(x).any()


def test_a10_a_double_block_has_one_activation_between() -> None:
    module: Any = Blaze(inner=3).build(ConvPlan(4, 4, (5, 5)))
    x = torch.randn(1, 4, 5, 5)
    first = F.conv2d(F.conv2d(x, module.body.depthwise.weight, padding=2, groups=4), module.body.pointwise.weight)
    second = F.conv2d(first.relu(), module.body.depthwise2.weight, padding=2, groups=3)
    assert torch.allclose(module(x), x + F.conv2d(second, module.body.pointwise2.weight), atol=1e-6)


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (2, 3)])
def test_a11_a_kernel_of_rank_one_is_reproduced(stride: tuple[int, int]) -> None:
    module: Any = Factorized(activation=False).build(ConvPlan(1, 1, (5, 3), stride))
    row, column = module[0].weight, module[1].weight
    x = torch.randn(2, 1, 9, 8)
    assert torch.allclose(module(x), F.conv2d(x, column * row, stride=stride, padding=(2, 1)), atol=1e-6)


@pytest.mark.parametrize("form", ["lines", "stack"])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (7, 3), (1, 5), (1, 1)])
def test_a11_factors_see_as_much_as_the_filter(form: Any, kernel: tuple[int, int]) -> None:
    module = Factorized(form=form, activation=False).build(ConvPlan(1, 1, kernel))
    for weight in module.parameters():
        nn.init.ones_(weight)
    impulse = torch.zeros(1, 1, 15, 15)
    impulse[0, 0, 7, 7] = 1
    seen = module(impulse)[0, 0] != 0
    assert (int(seen.any(1).sum()), int(seen.any(0).sum()), int(seen.sum())) == (*kernel, kernel[0] * kernel[1])


def test_a11_activations_stand_between_the_factors_alone() -> None:
    names = [type(part).__name__ for part in Factorized(form="stack").build(ConvPlan(2, 3, (7, 7)))]
    assert names == ["Conv2d", "BatchNorm", "ReLU"] * 2 + ["Conv2d"]


@pytest.mark.parametrize("k", [7, 11])
def test_a12_a_large_kernel_sees_all_of_it_and_keeps_the_size(k: int) -> None:
    module = LargeKernel().build(ConvPlan(1, 2, (k, k)))
    for weight in module.parameters():
        nn.init.ones_(weight)
    impulse = torch.zeros(1, 1, 31, 31)
    impulse[0, 0, 15, 15] = 1
    found = module(impulse)
    assert found.shape == (1, 2, 31, 31)
    assert (found[0, 0] != 0).nonzero().aminmax(dim=0).max.tolist() == [15 + k // 2] * 2
    assert int((found[0, 0] != 0).sum()) == k * k


def test_a13_one_part_is_a_convolution() -> None:
    module: Any = Heterogeneous(parts=1).build(ConvPlan(4, 6))
    x = torch.randn(2, 4, 7, 5)
    assert torch.equal(module(x), F.conv2d(x, module.spatial.weight, padding=1))


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
def test_a13_equals_a_dense_convolution_with_a_mask(stride: tuple[int, int]) -> None:
    module: Any = Heterogeneous(parts=2).build(ConvPlan(4, 6, (3, 3), stride))
    dense = torch.zeros(6, 4, 3, 3)
    # Filters 0 to 2 are large on channels 0 and 1, filters 3 to 5 on channels 2 and 3.
    dense[:3, :2], dense[3:, 2:] = module.spatial.weight[:3], module.spatial.weight[3:]
    dense[:3, 2:, 1, 1], dense[3:, :2, 1, 1] = (
        module.pointwise.weight[:3, :, 0, 0],
        module.pointwise.weight[3:, :, 0, 0],
    )
    x = torch.randn(2, 4, 7, 8)
    assert torch.allclose(module(x), F.conv2d(x, dense, stride=stride, padding=1), atol=1e-6)
