"""What dynamic filters, octave and ternary convolutions compute, against plain ones."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.blocks.convolution import ConvPlan
from search_spaces.blocks.convolution_variants import DynamicFilter, Octave, Ternary
from search_spaces.build import set_progress
from search_spaces.networks.convolution_variants import TernaryTanh, ternarized


@pytest.mark.parametrize("scope", ["local", "global"])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
def test_a05_a_filter_that_stays_is_a_depthwise_convolution(scope: Any, stride: tuple[int, int]) -> None:
    module: Any = DynamicFilter(scope=scope).build(ConvPlan(4, 3, (3, 5), stride))
    x, taps = torch.randn(2, 4, 7, 8), torch.randn(15)
    height, width = (-(-7 // stride[0]), -(-8 // stride[1])) if scope == "local" else (1, 1)
    found = module.filtered(x, taps.view(1, 15, 1, 1).expand(2, 15, height, width))
    expected = F.conv2d(x, taps.view(1, 1, 3, 5).expand(4, 1, 3, 5), None, stride, (1, 2), groups=4)
    assert (found - expected).abs().max() < 1e-5


@pytest.mark.parametrize("scope", ["local", "global"])
def test_a05_a_filter_of_one_tap_is_a_shift(scope: Any) -> None:
    module: Any = DynamicFilter(scope=scope).build(ConvPlan(4, 3))
    x = torch.randn(2, 4, 6, 7)
    size = (6, 7) if scope == "local" else (1, 1)
    one = F.one_hot(torch.tensor(5), 9).float().view(1, 9, 1, 1).expand(2, 9, *size)  # the tap to the right
    assert torch.equal(module.filtered(x, one)[..., :6], x[..., 1:])


def test_a05_filters_that_add_up_to_one_keep_a_constant() -> None:
    for scope in ("local", "global"):
        module: Any = DynamicFilter(scope=scope, softmax=True).build(ConvPlan(4, 3))  # type: ignore[arg-type]
        x = torch.full((2, 4, 6, 7), 1.5)
        seen: list[Tensor] = []
        module.project.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
        module(x)
        assert torch.allclose(seen[0][:, :, 1:-1, 1:-1], x[:, :, 1:-1, 1:-1], atol=1e-6)


def test_a05_each_position_and_each_image_has_a_filter_of_its_own() -> None:
    module: Any = DynamicFilter().build(ConvPlan(2, 3))
    x, filters = torch.randn(2, 2, 4, 5), torch.randn(2, 9, 4, 5)
    found = module.filtered(x, filters)
    padded = F.pad(x, (1, 1, 1, 1))
    for n, i, j in ((0, 0, 0), (0, 2, 3), (1, 3, 4), (1, 1, 0)):
        patch = padded[n, :, i : i + 3, j : j + 3].reshape(2, 9)
        assert torch.allclose(found[n, :, i, j], patch @ filters[n, :, i, j], atol=1e-6)


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (2, 3)])
def test_a06_without_low_channels_it_is_a_convolution(stride: tuple[int, int]) -> None:
    module: Any = Octave(alpha=0).build(ConvPlan(4, 6, (3, 3), stride))
    x = torch.randn(2, 4, 8, 6)
    assert torch.equal(module(x), F.conv2d(x, module.high_high.weight, None, stride, 1))


def test_a06_two_resolutions_exchange_what_they_know() -> None:
    module: Any = Octave(alpha=0.25).build(ConvPlan(8, 4))
    x = torch.randn(2, 8, 6, 4)
    high, low = x[:, :6], F.avg_pool2d(x[:, 6:], 2)
    weights = {name: part.weight for name, part in module.named_children()}
    fine = F.conv2d(high, weights["high_high"], padding=1)
    fine = fine + F.conv2d(low, weights["low_high"], padding=1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    coarse = F.conv2d(low, weights["low_low"], padding=1)
    coarse = coarse + F.conv2d(F.avg_pool2d(high, 2), weights["high_low"], padding=1)
    assert fine.shape[1] == 3 and coarse.shape[1:] == (1, 3, 2)
    expected = torch.cat([fine, coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)], 1)
    assert torch.allclose(module(x), expected, atol=1e-6)


def test_a06_between_layers_nothing_is_lost_on_the_way_through_one_map() -> None:
    first: Any = Octave(alpha=0.5, place="first").build(ConvPlan(2, 4))
    last: Any = Octave(alpha=0.5, place="last").build(ConvPlan(4, 3))
    x = torch.randn(1, 2, 6, 4)
    high, low = first.high_high(x), first.high_low(F.avg_pool2d(x, 2))  # as two maps, which are never joined
    expected = last.high_high(high) + F.interpolate(last.low_high(low), scale_factor=2)
    assert torch.allclose(last(first(x)), expected, atol=1e-6)


def test_a15_the_activation_is_odd_and_bounded_and_passes_a_half_at_a_half() -> None:
    activation = TernaryTanh(3.0, 8.0).train()
    x = torch.linspace(-3, 3, 601)
    for fraction in (0.0, 0.5, 1.0):
        activation.set_progress(fraction)
        found = activation(x)
        assert torch.allclose(found, -activation(-x), atol=1e-6) and found.abs().max() <= 1
    activation.set_progress(0.0)
    beta = 3.0
    assert torch.allclose(activation(x), (torch.tanh(2 * beta * x - beta) + torch.tanh(2 * beta * x + beta)) / 2)
    assert activation(torch.tensor(0.5)).item() == pytest.approx(0.5, abs=1e-4)
    hard = activation.eval()(x)
    assert hard.unique().tolist() == [-1, 0, 1] and hard[x.abs() <= 0.5].eq(0).all()


def test_a15_it_grows_steeper_over_training() -> None:
    module: Any = Ternary(start=2, end=10).build(ConvPlan(2, 3)).train()
    x = torch.tensor(0.6)
    found = []
    for fraction in (0.0, 0.5, 1.0):
        set_progress(module, fraction)
        found.append(module.round(x).item())
    expected = [float((torch.tanh(0.2 * b) + torch.tanh(2.2 * b)) / 2) for b in torch.tensor([2.0, 6, 10])]
    assert found == pytest.approx(expected, abs=1e-6) and found == sorted(found)


def test_a15_filters_have_three_levels() -> None:
    weight = torch.randn(5, 4, 3, 3, requires_grad=True)
    found = ternarized(weight)
    for one, kept in zip(weight.detach(), found.detach(), strict=True):
        large = one.abs() > 0.7 * one.abs().mean()
        level = one.abs()[large].mean()
        assert len(kept.unique()) == 3
        assert torch.allclose(kept, level * one.sign() * large, atol=1e-6)
    found.sum().backward()
    assert weight.grad is not None and weight.grad.eq(1).all()


def test_a15_a_product_of_signs_counts_the_places_that_differ() -> None:
    module: Any = Ternary().build(ConvPlan(8, 5)).eval()
    signs = torch.randn(5, 8, 3, 3).sign()
    module.conv.weight = nn.Parameter(signs * 0.3)
    x = torch.randn(1, 8, 3, 3).sign() * 0.9
    found = module(x)[0, :, 1, 1] / 0.3
    hamming = (signs != x.sign()).flatten(1).sum(1)
    assert torch.allclose(found, (72 - 2 * hamming).float(), atol=1e-4)


def test_a15_either_side_may_stay_as_it_is() -> None:
    x = torch.randn(1, 4, 5, 5)
    module: Any = Ternary(inputs=False).build(ConvPlan(4, 3))
    assert torch.allclose(module(x), F.conv2d(x, ternarized(module.conv.weight), padding=1))
    module = Ternary(weights=False).build(ConvPlan(4, 3)).eval()
    assert torch.allclose(module(x), F.conv2d(x.sign() * (x.abs() > 0.5), module.conv.weight, padding=1))
