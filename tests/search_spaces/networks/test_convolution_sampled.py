"""What convolutions that move compute, against plain ones and against translations."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.blocks.convolution import ConvPlan
from search_spaces.blocks.convolution_sampled import Active, Deformable, Shift, SparseShift
from search_spaces.build import set_progress
from search_spaces.operators.deform_conv import deform_conv2d


@pytest.mark.parametrize(("stride", "dilation"), [((1, 1), 1), ((2, 1), 2)])
def test_a02_as_built_it_is_a_convolution(stride: tuple[int, int], dilation: int) -> None:
    plan = ConvPlan(4, 6, (3, 3), stride, dilation)
    x = torch.randn(2, 4, 9, 8)
    module: Any = Deformable(groups=2).build(plan)
    expected = F.conv2d(x, module.conv.weight, None, stride, dilation, dilation)
    assert (module(x) - expected).abs().max() < 1e-5
    masked: Any = Deformable(modulated=True).build(plan)
    expected = F.conv2d(x, masked.conv.weight, None, stride, dilation, dilation)
    assert (masked(x) - expected / 2).abs().max() < 1e-5


def test_a02_offsets_and_mask_come_from_the_map() -> None:
    module: Any = Deformable(groups=2, modulated=True).build(ConvPlan(4, 6))
    nn.init.normal_(module.offset.weight)
    x = torch.randn(2, 4, 6, 5)
    found = module.offset(x)
    expected = deform_conv2d(x, found[:, :36], module.conv.weight, padding=(1, 1), mask=found[:, 36:].sigmoid())
    assert torch.equal(module(x), expected)


def test_a02_the_offsets_learn_more_slowly() -> None:
    module: Any = Deformable(offset_rate=0.25).build(ConvPlan(4, 6))
    factors = {name: getattr(weight, "lr_factor", 1.0) for name, weight in module.named_parameters()}
    assert factors == {"offset.weight": 0.25, "offset.bias": 0.25, "conv.weight": 1.0}


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
def test_a03_on_the_grid_it_is_a_convolution(stride: tuple[int, int]) -> None:
    module: Any = Active().build(ConvPlan(4, 6, (3, 5), stride, 2))
    x = torch.randn(2, 4, 9, 8)
    expected = F.conv2d(x, module.conv.weight, None, stride, (2, 4), 2)
    assert (module(x) - expected).abs().max() < 1e-5


def test_a03_moved_it_is_deformable_with_the_same_offsets_everywhere() -> None:
    module: Any = Active().build(ConvPlan(4, 6))
    nn.init.normal_(module.displacement)
    x = torch.randn(2, 4, 7, 8)
    offset = module.displacement.view(1, 18, 1, 1).expand(2, 18, 7, 8)
    expected = deform_conv2d(x, offset, module.conv.weight, padding=(1, 1))
    assert torch.equal(module.eval()(x), expected) and torch.equal(module.train()(x), expected)
    assert module.displacement.ndim == 1  # and so does not decay


def test_a03_the_gradient_of_positions_has_a_mean_length_of_one() -> None:
    module: Any = Active(frozen=0.1).build(ConvPlan(4, 6))
    nn.init.normal_(module.displacement, std=0.3)
    x = torch.randn(2, 4, 7, 8)
    own = torch.autograd.grad(module.eval()(x).square().sum(), module.displacement)[0].view(-1, 2)
    for scale in (1.0, 1e-3):
        (found,) = torch.autograd.grad(module.train()(x).square().sum() * scale, module.displacement)
        found = found.view(-1, 2)
        assert found.norm(dim=1).mean().item() == pytest.approx(1, rel=1e-4)
        assert torch.allclose(found, own / own.norm(dim=1).mean(), atol=1e-4)
    set_progress(module, 0.05)
    assert not torch.autograd.grad(module(x).square().sum(), module.displacement)[0].any()
    set_progress(module, 0.1)
    assert torch.autograd.grad(module(x).square().sum(), module.displacement)[0].any()


@pytest.mark.parametrize(("channels", "kernel"), [(9, (3, 3)), (18, (3, 3)), (10, (3, 3)), (15, (3, 5)), (4, (5, 5))])
@pytest.mark.parametrize(("stride", "dilation"), [((1, 1), 1), ((2, 3), 2)])
def test_a07_equals_a_depthwise_convolution_with_one_tap_a_channel(
    channels: int, kernel: tuple[int, int], stride: tuple[int, int], dilation: int
) -> None:
    module: Any = Shift().build(ConvPlan(channels, 2, kernel, stride, dilation))
    places = kernel[0] * kernel[1]
    taps = [int((c + 0.5) * places / channels) for c in range(channels)]
    filters = F.one_hot(torch.tensor(taps), places).view(channels, 1, *kernel).float()
    x = torch.randn(2, channels, 8, 9)
    padding = dilation * (kernel[0] // 2), dilation * (kernel[1] // 2)
    expected = F.conv2d(x, filters, None, stride, padding, dilation, channels)
    assert torch.equal(module.shift(x), expected)
    assert list(module.shift.parameters()) == []
    if channels == 9:
        assert taps == list(range(9))
    if channels < places:
        assert len(set(taps)) == channels  # each of the few moves elsewhere


def test_a07_a_wider_middle_comes_first() -> None:
    names = [name for name, _ in Shift(expansion=2).build(ConvPlan(9, 4)).named_children()]
    assert names == ["expand", "norm", "relu", "shift", "project"]


def _learned(down: float, right: float, **fields: Any) -> Any:
    module: Any = SparseShift(**fields).build(ConvPlan(3, 3))
    nn.init.constant_(module.shift.vertical, down)
    nn.init.constant_(module.shift.horizontal, right)
    return module.shift


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_a08_whole_pixels_are_a_translation_filled_with_zeros(quantized: bool, training: bool) -> None:
    x = torch.randn(2, 3, 6, 7)
    found = _learned(2, -1, quantized=quantized).train(training)(x)
    rolled = x.roll((-2, 1), (2, 3))
    assert torch.allclose(found[:, :, :4, 1:], rolled[:, :, :4, 1:], atol=1e-5)
    assert not found[:, :, 4:].abs().gt(1e-5).any() and not found[:, :, :, 0].abs().gt(1e-5).any()
    assert (rolled[:, :, 4:] != 0).all()


def test_a08_half_a_pixel_is_the_mean_of_two_neighbours() -> None:
    x = torch.randn(2, 3, 6, 7)
    found = _learned(0.5, 0, quantized=False)(x)
    assert torch.allclose(found[:, :, :5], (x[:, :, :5] + x[:, :, 1:]) / 2, atol=1e-5)


def test_a08_rounded_forward_and_the_gradient_of_the_interpolation() -> None:
    x = torch.randn(2, 3, 6, 7)
    grads, weights = [], torch.randn(2, 3, 6, 7)
    for quantized in (True, False):
        shift = _learned(0.4, 1.3, quantized=quantized)
        found = shift.train()(x)
        (found * weights).sum().backward()
        grads.append(torch.stack([shift.vertical.grad, shift.horizontal.grad]))
        if quantized:
            assert torch.equal(found[:, :, :, :6], x[:, :, :, 1:])  # by (0, 1)
            assert torch.equal(found, shift.eval()(x))
    assert torch.equal(*grads) and bool((grads[0] != 0).all())


def test_a08_the_gradient_of_the_map_is_moved_back() -> None:
    x = torch.randn(2, 3, 6, 7, requires_grad=True)
    _learned(1, 0).train()(x)[:, :, 0].sum().backward()
    assert x.grad is not None and x.grad[:, :, 1].eq(1).all() and x.grad.sum() == 2 * 3 * 7


def test_a08_displacements_start_within_the_kernel_and_cost() -> None:
    module: Any = SparseShift(penalty=0.5, rate=0.2).build(ConvPlan(400, 2, (3, 5)))
    shift = module.shift
    assert 0.9 < shift.vertical.abs().max() <= 1 and 1.9 < shift.horizontal.abs().max() <= 2
    total = shift.vertical.abs().sum() + shift.horizontal.abs().sum()
    assert shift.penalty().item() == pytest.approx(0.5 * total.item())
    assert {shift.vertical.lr_factor, shift.horizontal.lr_factor} == {0.2}


@pytest.mark.parametrize("quantized", [False, True])
def test_a08_strides_take_every_so_many_positions(quantized: bool) -> None:
    x = torch.randn(2, 4, 7, 8)
    one: Any = SparseShift(quantized=quantized).build(ConvPlan(4, 4)).eval()
    other: Any = SparseShift(quantized=quantized).build(ConvPlan(4, 4, stride=(2, 3))).eval()
    other.load_state_dict(one.state_dict())
    assert torch.allclose(other(x), one(x)[:, :, ::2, ::3], atol=1e-5)
