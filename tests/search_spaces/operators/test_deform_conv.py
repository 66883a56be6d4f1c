"""Deformable convolution against the loop that defines it, and where the answer is known."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.operators import deform_conv as operator
from search_spaces.operators.deform_conv import deform_conv2d, plain_deform_conv2d, sample


def _at(plane: Tensor, y: float, x: float) -> float:
    i, j = math.floor(y), math.floor(x)
    total = 0.0
    for row, column in ((i, j), (i, j + 1), (i + 1, j), (i + 1, j + 1)):
        if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
            total += float(plane[row, column]) * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def _loop(
    x: Tensor, offset: Tensor, weight: Tensor, stride: Any, padding: Any, dilation: Any, mask: Tensor | None
) -> Tensor:
    """The definition, one product at a time."""
    (height, width), (rows, columns) = offset.shape[2:], weight.shape[2:]
    taps, channels = rows * columns, x.shape[1]
    groups = offset.shape[1] // (2 * taps)
    out = torch.zeros(x.shape[0], weight.shape[0], height, width)
    for n, i, j, c in torch.cartesian_prod(*map(torch.arange, (x.shape[0], height, width, channels))).tolist():
        for k in range(taps):
            place = c * groups // channels * taps + k
            y = i * stride[0] - padding[0] + k // columns * dilation[0] + float(offset[n, 2 * place, i, j])
            z = j * stride[1] - padding[1] + k % columns * dilation[1] + float(offset[n, 2 * place + 1, i, j])
            scale = 1.0 if mask is None else float(mask[n, place, i, j])
            out[n, :, i, j] += weight[:, c, k // columns, k % columns] * _at(x[n, c], y, z) * scale
    return out


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [((3, 3), (1, 1), (1, 1), (1, 1)), ((3, 1), (2, 1), (2, 0), (2, 2)), ((1, 3), (1, 3), (0, 1), (1, 1))],
)
def test_equals_the_loop(kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int, masked: bool) -> None:
    x, weight = torch.randn(2, 2, 4, 5), torch.randn(3, 2, *kernel)
    shape = F.conv2d(x, weight, None, stride, padding, dilation).shape
    taps = kernel[0] * kernel[1]
    offset = torch.randn(2, 2 * groups * taps, *shape[2:]) * 3
    mask = torch.rand(2, groups * taps, *shape[2:]) if masked else None
    found = plain_deform_conv2d(x, offset, weight, stride, padding, dilation, mask)
    assert torch.allclose(found, _loop(x, offset, weight, stride, padding, dilation, mask), atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_a02_without_offsets_it_is_a_convolution(stride: int) -> None:
    x, weight = torch.randn(2, 4, 9, 8), torch.randn(5, 4, 3, 3)
    expected = F.conv2d(x, weight, None, stride, 1)
    found = deform_conv2d(x, torch.zeros(2, 18, *expected.shape[2:]), weight, (stride, stride), (1, 1))
    assert (found - expected).abs().max() < 1e-5


def test_a02_offsets_of_a_taps_own_index_are_dilation_two() -> None:
    x, weight = torch.randn(2, 4, 9, 8), torch.randn(5, 4, 3, 3)
    steps = torch.arange(3.0) - 1
    index = torch.stack([steps.repeat_interleave(3), steps.repeat(3)], dim=1).reshape(1, 18, 1, 1)
    found = deform_conv2d(x, index.expand(2, -1, 9, 8), weight, padding=(1, 1))
    assert torch.allclose(found, F.conv2d(x, weight, padding=2, dilation=2), atol=1e-5)


def test_a02_the_second_of_a_pair_moves_to_the_right() -> None:
    x, weight = torch.randn(2, 4, 9, 8), torch.randn(5, 4, 3, 3)
    right = torch.tensor([0.0, 1]).repeat(9).reshape(1, 18, 1, 1).expand(2, -1, 9, 8)
    shifted = F.pad(x, (0, 1))[..., 1:]
    found, expected = deform_conv2d(x, right, weight, padding=(1, 1)), F.conv2d(shifted, weight, padding=1)
    assert torch.allclose(found[..., 1:], expected[..., 1:], atol=1e-5)


def test_a02_half_a_pixel_on_a_ramp() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    found = deform_conv2d(x, torch.full((1, 18, 4, 4), 0.5), torch.ones(1, 1, 3, 3), padding=(1, 1))[0, 0]
    assert torch.allclose(found[0], torch.tensor([25, 35.25, 33.75, 22]), atol=1e-4)
    assert torch.allclose(found[3], torch.tensor([43, 54.75, 48.25, 30]), atol=1e-4)


def test_gradients_are_those_of_the_function() -> None:
    x = torch.randn(1, 2, 2, 3, dtype=torch.double, requires_grad=True)
    offset = torch.rand(1, 36, 2, 3, dtype=torch.double).mul_(0.8).add_(0.1).requires_grad_()  # between pixels
    mask = torch.rand(1, 18, 2, 3, dtype=torch.double, requires_grad=True)
    weight = torch.randn(1, 2, 3, 3, dtype=torch.double, requires_grad=True)

    def call(*given: Tensor) -> Tensor:
        found = plain_deform_conv2d(*given[:3], padding=(1, 1), mask=given[3])
        return (found * torch.arange(found.numel()).view_as(found)).sum()

    given = [x, offset, weight, mask]
    for i, grad in enumerate(torch.autograd.grad(call(*given), given)):
        step = torch.randn_like(grad) * 1e-6
        after, before = (call(*given[:i], given[i] + sign * step, *given[i + 1 :]) for sign in (1, -1))
        assert (after - before).item() / 2 == pytest.approx((grad * step).sum().item(), rel=1e-6)


def test_positions_stay_exact_in_half_precision() -> None:
    x = torch.arange(300.0).expand(1, 1, 2, -1).bfloat16()
    found = sample(x, torch.zeros(1, 1, 1, 1, 1), torch.full((1, 1, 1, 1, 1), 201.0))
    assert found.dtype == torch.float32 and found.item() == pytest.approx(float(x[0, 0, 0, 201]), abs=1e-2)
    ones = torch.ones(1, 1, 1, 1, dtype=torch.bfloat16)
    assert deform_conv2d(x, torch.zeros(1, 2, 2, 300), ones).dtype == torch.bfloat16


def test_one_position_serves_all_maps() -> None:
    x = torch.randn(3, 4, 5, 5)
    found = sample(x, torch.full((1, 1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1, 1), 3.0))
    assert torch.allclose(found.flatten(), x[:, :, 2, 3].flatten(), atol=1e-5)


def test_a_compiled_operator_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def stand_in(x: Tensor, offset: Tensor, weight: Tensor, bias: None, *steps: Any) -> Tensor:
        assert {x.dtype, offset.dtype, weight.dtype} == {torch.float32}
        return plain_deform_conv2d(x, offset, weight, *steps) + 1

    monkeypatch.setattr(operator, "compiled", lambda: type("Ops", (), {"deform_conv2d": staticmethod(stand_in)}))
    x, weight, offset = torch.randn(1, 2, 5, 5).bfloat16(), torch.randn(3, 2, 3, 3).bfloat16(), torch.randn(1, 18, 2, 2)
    steps = ((2, 2), (1, 1), (2, 2))
    mask = torch.rand(1, 9, 2, 2)
    found = deform_conv2d(x, offset, weight, *steps, mask)
    assert found.dtype == torch.bfloat16
    expected = plain_deform_conv2d(x.float(), offset, weight.float(), *steps, mask) + 1
    assert torch.allclose(found.float(), expected, rtol=1e-2, atol=1e-2)


def test_equals_the_compiled_operator() -> None:
    ops = operator.compiled()
    if ops is None:
        pytest.skip("torchvision cannot be imported")
    x, weight, offset = torch.randn(2, 4, 7, 6), torch.randn(3, 4, 3, 3), torch.randn(2, 36, 4, 3)
    steps, mask = ((2, 2), (1, 1), (1, 1)), torch.rand(2, 18, 4, 3)
    assert torch.allclose(
        deform_conv2d(x, offset, weight, *steps, mask), plain_deform_conv2d(x, offset, weight, *steps, mask), atol=1e-5
    )
