"""The fused sum of weighted, normalised maps against the sum written out."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.networks.mixing import joined, mixed, phases

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def _inputs(layout):
    torch.manual_seed(0)
    maps = [torch.randn(6, 4, 4, 4, dtype=torch.float64).contiguous(memory_format=layout) for _ in range(3)]
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    return [x.requires_grad_() for x in maps], weights.requires_grad_()


def _norms():
    return [nn.BatchNorm2d(4, affine=False).double(), None, nn.BatchNorm2d(4, affine=False).double()]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sum_gradients_and_running_figures(layout):
    maps, weights = _inputs(layout)
    mine, plain = _norms(), _norms()
    direction = torch.randn(6, 4, 4, 4, dtype=torch.float64)
    out = mixed(weights, maps, mine)
    expected = sum(w * (x if norm is None else norm(x)) for w, x, norm in zip(weights, maps, plain, strict=True))
    assert torch.allclose(out, expected, atol=1e-12)
    found = torch.autograd.grad((out * direction).sum(), [*maps, weights])
    wanted = torch.autograd.grad((expected * direction).sum(), [*maps, weights])
    assert all(torch.allclose(a, b, atol=1e-11) for a, b in zip(found, wanted, strict=True))
    for a, b in zip(mine, plain, strict=True):
        if a is not None and b is not None:
            assert torch.allclose(a.running_mean, b.running_mean) and torch.allclose(a.running_var, b.running_var)


def test_no_gradient_is_made_where_none_is_wanted():
    maps, weights = _inputs(torch.channels_last)
    fixed = weights.detach()
    out = mixed(fixed, [maps[0], maps[1].detach(), maps[2].detach()], _norms())
    out.square().sum().backward()
    assert maps[0].grad is not None and maps[1].grad is None and fixed.grad is None


def test_nothing_but_the_maps_is_kept():
    maps, weights = _inputs(torch.channels_last)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        mixed(weights, maps, _norms())
    large = {x.data_ptr() for x in kept if x.numel() == maps[0].numel()}
    assert large == {x.data_ptr() for x in maps}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_phases_are_joined_again_and_make_dilated_convolutions_plain(layout):
    x = torch.randn(2, 3, 6, 8, dtype=torch.float64).contiguous(memory_format=layout)
    assert torch.equal(joined(phases(x)), x)
    assert torch.equal(phases(x)[:2], x[:, :, ::2, ::2]) and torch.equal(phases(x)[2:4], x[:, :, ::2, 1::2])
    for size in (3, 5):
        weight = torch.randn(3, 1, size, size, dtype=torch.float64)
        dilated = F.conv2d(x, weight, padding=size - 1, dilation=2, groups=3)
        assert torch.allclose(joined(F.conv2d(phases(x), weight, padding=size // 2, groups=3)), dilated, atol=1e-12)
