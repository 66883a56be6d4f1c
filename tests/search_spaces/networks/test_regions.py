"""Region pooling modules: deformable cells, position-sensitive maps, gradients."""

import torch

from search_spaces.blocks.base import Feature
from search_spaces.blocks.regions import DeformableRoi, PsRoiAlign, RoiAlign
from search_spaces.operators.roi_align import plain_roi_align, roi_align

MAPS = (Feature(8, 4), Feature(8, 8))
BOXES = torch.tensor([[[2.0, 3, 40, 30], [0, 0, 80, 70], [30, 8, 50, 28]]]).expand(2, -1, -1)


def _maps(seed: int = 0) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 8, 20, 24, generator=rng), torch.randn(2, 8, 10, 12, generator=rng)]


def test_roi_align_is_the_operator():
    maps = _maps()
    found = RoiAlign(size=3, sampling=1).build(MAPS)(maps, BOXES)
    assert torch.equal(found, roi_align(maps, BOXES, (4, 8), 3, 1))
    greatest = RoiAlign(size=3, sampling=2, reduce="max").build(MAPS)(maps, BOXES)
    assert torch.equal(greatest, plain_roi_align(maps, BOXES, (4, 8), 3, 2, reduce="max"))


def test_d10_before_training_it_is_roi_align():
    maps = _maps()
    module = DeformableRoi(size=3).build(MAPS)
    assert torch.allclose(module(maps, BOXES), roi_align(maps, BOXES, (4, 8), 3, 2), atol=1e-6)
    module(maps, BOXES).square().sum().backward()
    assert module.moves.weight.grad.abs().sum() > 0


def test_d10_moves_are_shares_of_the_box():
    module = DeformableRoi(size=3, gamma=0.1).build(MAPS)
    with torch.no_grad():
        module.moves.bias.copy_(torch.tensor([1.0, -2.0]).repeat(9))
    maps = _maps()
    # All cells move by a tenth of the width to the right, and by a fifth of the height up.
    sides = BOXES[..., 2:] - BOXES[..., :2]
    away = (sides * torch.tensor([0.1, -0.2])).repeat(1, 1, 2)
    assert torch.allclose(module(maps, BOXES), roi_align(maps, BOXES + away, (4, 8), 3, 2), atol=1e-4)


def test_d11_with_and_without_a_convolution_in_front():
    maps = _maps()
    own = PsRoiAlign(size=2, width=None).build(MAPS)(maps, BOXES)
    assert own.shape == (2, 3, 2, 2, 2)
    made = PsRoiAlign(size=3, width=5).build(MAPS)
    assert made.maps.out_channels == 45 and made(maps, BOXES).shape == (2, 3, 5, 3, 3)
