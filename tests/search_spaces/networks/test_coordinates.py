"""Modules that know where things lie."""

import pytest
import torch
from torch import nn

from search_spaces.blocks.base import Feature
from search_spaces.blocks.coordinates import CoordinateEncodedAttention, InputChannels
from search_spaces.networks.coordinates import edges, relative_coordinates
from search_spaces.networks.layers import as_map, tokens
from tests.search_spaces.networks.checks import assert_trains

PLACE = (Feature(8, 4),)
IMAGE = (Feature(3, 1),)


@pytest.mark.parametrize("encoding", ["none", "onehot", "sin", "coordconv"])
def test_c24_logits_move_with_the_positions_unless_these_are_encoded(encoding: str) -> None:
    module = CoordinateEncodedAttention(encoding=encoding).build(PLACE)
    x, order = torch.randn(2, 8, 5, 6), torch.randperm(30)
    moved = module.logits(as_map(tokens(x)[:, order], x)).flatten(1)
    expected = module.logits(x).flatten(1)[:, order]
    assert torch.allclose(moved, expected, atol=1e-5) == (encoding == "none")


def test_logits_are_those_of_the_paper() -> None:
    module = CoordinateEncodedAttention(hidden=4).build(PLACE)
    x = torch.randn(1, 8, 2, 4)
    weights = [conv.weight[:, :, 0, 0] for conv in (module.value, module.state, module.place, module.score)]
    i, j = 1, 2
    one_hot = torch.zeros(32)
    one_hot[10] = one_hot[16 + 12] = 1  # the middle of the third of 4 columns, of the second of 2 rows
    hidden = weights[0] @ x[0, :, i, j] + module.value.bias + weights[1] @ x[0].mean((1, 2)) + weights[2] @ one_hot
    assert torch.allclose(module.logits(x)[0, 0, i, j], (weights[3] @ hidden.tanh())[0], atol=1e-6)


@pytest.mark.parametrize("encoding", ["none", "onehot", "sin", "coordconv"])
def test_each_encoding_trains(encoding: str) -> None:
    module = CoordinateEncodedAttention(encoding=encoding).build(PLACE)
    nn.init.normal_(module.out.weight)
    assert_trains(module, torch.randn(2, 8, 5, 6))


def test_what_is_read_is_added_the_same_everywhere() -> None:
    module = CoordinateEncodedAttention().build(PLACE)
    x = torch.randn(2, 8, 5, 6)
    assert torch.equal(module(x), x)
    nn.init.normal_(module.out.weight)
    weights = module.logits(x).flatten(2).softmax(2).unflatten(2, (5, 6))
    expected = x + module.out((x * weights).sum((2, 3), keepdim=True))
    assert torch.allclose(module(x), expected, atol=1e-5)


@pytest.mark.parametrize(("added", "channels"), [("xy", 5), ("xy+shape", 6), ("edge", 4)])
def test_c25_the_image_itself_comes_first(added: str, channels: int) -> None:
    image = torch.randn(2, 3, 6, 8)
    found = InputChannels(added=added).build(IMAGE)(image)
    assert found.shape == (2, channels, 6, 8)
    assert torch.equal(found[:, :3], image)


def test_it_exports_with_boxes() -> None:
    module = InputChannels(added="xy+shape").build(IMAGE).eval()
    given = (torch.randn(2, 3, 6, 8), torch.tensor([[0.0, 0.0, 8.0, 6.0], [1.0, 2.0, 3.0, 6.0]]))
    assert torch.equal(torch.export.export(module, given).module()(*given), module(*given))


def test_coordinates_are_relative_to_the_image_or_to_a_box() -> None:
    image = torch.zeros(2, 3, 6, 8)
    whole = relative_coordinates(image)
    assert whole[0, 0, 0].tolist() == [-0.875, -0.625, -0.375, -0.125, 0.125, 0.375, 0.625, 0.875]
    boxes = torch.tensor([[0.0, 0.0, 8.0, 6.0], [1.0, 2.0, 3.0, 6.0]])
    found = relative_coordinates(image, boxes)
    assert torch.allclose(found[0], whole[0], atol=1e-6)
    assert found[1, 0, 0].tolist() == [-1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert found[1, 1, :, 0].tolist() == [-1.75, -1.25, -0.75, -0.25, 0.25, 0.75]


@pytest.mark.parametrize("added", ["xy", "xy+shape"])
def test_c25_an_image_moved_with_its_box_keeps_its_encoding(added: str) -> None:
    module = InputChannels(added=added, extent=2.0).build(IMAGE)
    if module.mask is not None:
        nn.init.normal_(module.mask)
    image, box = torch.randn(1, 3, 12, 16), torch.tensor([[2.0, 3.0, 8.0, 9.0]])
    down, right = 2, 5
    moved = module(image.roll((down, right), (2, 3)), box + torch.tensor([right, down, right, down]))
    assert torch.allclose(moved[..., down:, right:], module(image, box)[..., :-down, :-right], atol=1e-5)


def test_the_mean_mask_covers_as_many_boxes_as_it_says() -> None:
    image, box = torch.zeros(1, 3, 32, 32), torch.tensor([[12.0, 14.0, 20.0, 18.0]])
    for extent, (height, width) in {1.0: (4, 8), 2.0: (8, 16)}.items():
        module = InputChannels(added="xy+shape", extent=extent).build(IMAGE)
        assert torch.equal(module(image, box)[:, 5], torch.zeros(1, 32, 32))
        nn.init.ones_(module.mask)
        found = module(image, box)[0, 5]
        assert found.sum().item() == pytest.approx(height * width, rel=0.02)
        assert found[16 - height // 2 + 1 : 16 + height // 2 - 1, 16 - width // 2 + 1 : 16 + width // 2 - 1].min() == 1


def test_edges_of_a_label_map_lie_on_both_sides_of_a_border() -> None:
    labels = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    one_hot = torch.nn.functional.one_hot(labels).permute(2, 0, 1)[None].float()
    expected = [[0, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]]
    assert edges(one_hot)[0, 0].tolist() == expected
    assert (edges(7 * labels[None, None]) > 0)[0, 0].long().tolist() == expected  # instances by number
    assert edges(torch.ones(1, 3, 1, 1)).tolist() == [[[[0.0]]]]
