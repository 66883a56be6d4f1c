"""Shared pieces of networks of images."""

import pytest
import torch
from torch import nn

from search_spaces.networks.convolution import BatchNorm, conv_norm, group_norm, resized


def test_batch_norm_trains_on_a_single_value_and_is_torchs_on_more():
    mine, torchs = BatchNorm(3), nn.BatchNorm2d(3)
    single = torch.tensor([1.0, -2, 3]).view(1, 3, 1, 1)
    assert torch.allclose(mine(single), single, atol=1e-4)  # as built, the running figures are 0 and 1
    assert mine.running_mean.abs().sum() == 0
    x = torch.randn(2, 3, 1, 1)
    assert torch.equal(mine(x), torchs(x)) and torch.equal(mine.running_var, torchs.running_var)
    assert list(mine.state_dict()) == list(torchs.state_dict())


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 6), (5, 2)])
def test_size_stays(kernel, dilation):
    block = conv_norm(3, 4, kernel, dilation)
    assert block(torch.randn(2, 3, 7, 5)).shape == (2, 4, 7, 5)
    assert sum(p.numel() for p in block.parameters()) == kernel**2 * 12 + 8


def test_groups_divide_the_channels():
    assert [group_norm(c).num_groups for c in (256, 48, 20, 7)] == [32, 16, 4, 1]


def test_resizing_keeps_constants_and_the_identity():
    x = torch.full((1, 2, 3, 5), 1.5)
    assert resized(x, (3, 5)) is x
    assert torch.allclose(resized(x, (7, 9)), torch.full((1, 2, 7, 9), 1.5))
    ramp = torch.arange(2.0).view(1, 1, 1, 2)
    assert resized(ramp, (1, 4)).flatten().tolist() == [0, 0.25, 0.75, 1]
    assert resized(ramp, (1, 4), "nearest").flatten().tolist() == [0, 0, 1, 1]
