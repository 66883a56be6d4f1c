"""Guided anchoring: boxes from shapes, adapted features, what is left out outside of training."""

import pytest
import torch
from torch.nn import functional as F

from search_spaces.blocks.anchors import BlazeAnchors, GridAnchors
from search_spaces.blocks.base import Feature
from search_spaces.blocks.detection import Guided
from search_spaces.networks.guided_anchoring import NOWHERE, AdaptedConv, grown, taps
from search_spaces.operators.boxes import anchor_boxes

FEATURES = (Feature(8, 4), Feature(8, 8))
SIZE = (12, 16)


def _found(module, batch: int = 1):
    rng = torch.Generator().manual_seed(0)
    maps = [torch.randn(batch, 8, 3, 4, generator=rng), torch.randn(batch, 8, 2, 2, generator=rng)]
    return module(maps, SIZE)


def test_f05_shapes_of_zero_are_squares_of_8_strides():
    module = Guided().build(FEATURES, 2, GridAnchors())
    with torch.no_grad():
        module.shapes.weight.zero_()
    found = _found(module)
    squares = anchor_boxes(SIZE, (4, 8), [[(32, 32)], [(64, 64)]])
    assert torch.equal(found["starts"][0], squares) and torch.equal(found["squares"], squares)
    assert found["levels"].tolist() == [0] * 12 + [1] * 4 and found["steps"].tolist() == [4.0] * 12 + [8.0] * 4


def test_f05_sides_grow_around_the_middle():
    squares = torch.tensor([[0.0, 0, 8, 8], [8, 0, 24, 16]])
    shapes = torch.tensor([[[2.0, 0.5], [1.0, 0.25]]]).log()
    assert torch.allclose(grown(squares, shapes)[0], torch.tensor([[-4.0, 2, 12, 6], [8, 6, 24, 10]]))


def test_f05_a_network_predicts_where_boxes_start():
    module = Guided(depth=0).build(FEATURES, 2, GridAnchors())
    found = _found(module, 2)
    starts, logits, deltas = module.final(found)
    assert (starts.shape, logits.shape, deltas.shape) == ((2, 16, 4), (2, 16, 2), (2, 16, 4))
    assert not starts.requires_grad and found["shapes"].requires_grad
    assert found["location"].shape == (2, 16) and found["samples"].shape == (16 * 9, 4)
    # Blaze has 2 and 6 sizes a position; there are as many samples everywhere.
    uneven = _found(Guided(depth=0).build(FEATURES, 2, BlazeAnchors()))["samples"]
    assert uneven.shape == (16 * 6, 4) and torch.equal(uneven[1], uneven[5])


def test_f05_outside_of_training_nothing_is_found_where_no_object_can_be():
    module = Guided(depth=0, threshold=0.3).build(FEATURES, 2, GridAnchors())
    found = _found(module)
    found["location"] = torch.linspace(-2, 2, 16)[None]
    there = found["location"].sigmoid() >= 0.3
    assert torch.equal(module.train().answer(found).logits, found["out"][0])
    logits = module.eval().answer(found).logits
    assert torch.equal(logits[there], found["out"][0][there]) and (logits[~there] == NOWHERE).all()
    assert 0 < there.sum() < 16


def test_a02_taps_that_do_not_move_are_those_of_a_convolution():
    rng = torch.Generator().manual_seed(0)
    x, weight = torch.randn(2, 5, 6, 7, generator=rng), torch.randn(4, 5, 3, 3, generator=rng)
    read = taps(x, torch.zeros(2, 9, 2, 6, 7))
    # Channel by channel, the nine taps side by side.
    found = F.conv2d(read, weight.view(4, 45, 1, 1))
    assert torch.allclose(found, F.conv2d(x, weight, padding=1), atol=1e-5)


def test_a02_taps_twice_as_far_apart_are_those_of_a_dilated_convolution():
    rng = torch.Generator().manual_seed(0)
    x, weight = torch.randn(1, 5, 6, 7, generator=rng), torch.randn(4, 5, 3, 3, generator=rng)
    away = torch.tensor([[i - 1.0, j - 1.0] for i in range(3) for j in range(3)]).view(1, 9, 2, 1, 1)
    found = F.conv2d(taps(x, away.expand(1, 9, 2, 6, 7)), weight.view(4, 45, 1, 1))
    assert torch.allclose(found, F.conv2d(x, weight, padding=2, dilation=2), atol=1e-5)


def test_a02_all_half_a_pixel_down_and_to_the_right():
    read = taps(torch.arange(16.0).view(1, 1, 4, 4), torch.full((1, 9, 2, 4, 4), 0.5)).sum(1)[0]
    assert read[0].tolist() == pytest.approx([25, 35.25, 33.75, 22], abs=1e-4)
    assert read[3].tolist() == pytest.approx([43, 54.75, 48.25, 30], abs=1e-4)


def test_f05_features_are_adapted_to_shapes():
    module = AdaptedConv(5)
    x, shapes = torch.randn(1, 5, 6, 7), torch.zeros(1, 2, 6, 7)
    plain = F.conv2d(x, module.weight.weight.view(5, 5, 3, 3), padding=1)
    assert torch.allclose(module(x, shapes), plain, atol=1e-5)
    assert not torch.allclose(module(x, shapes + 1), plain, atol=1e-3)
    module(x, shapes + 1).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in module.parameters())
