"""The networks of stacked hourglasses."""

import pytest
import torch

from search_spaces.architectures.hourglass import Hourglass
from search_spaces.cost import cost
from tests.search_spaces.networks.checks import assert_exports, assert_trains, counted_macs

SPEC = Hourglass(stacks=2, depth=3, width=8)


@pytest.mark.parametrize("size", [(32, 32), (27, 38)], ids=str)
def test_b11_each_map_has_the_size_of_what_goes_in(size) -> None:
    network, image = SPEC.build((3, *size), 5), torch.randn(2, 3, *size)
    assert_trains(network, image)
    found = network(image)
    assert list(found) == ["out", "features/stage1", "features/stage2"]
    assert all(found[f"features/stage{i}"].shape == (2, 8, -(-size[0] // 2), -(-size[1] // 2)) for i in (1, 2))


def test_it_is_exported_and_counted() -> None:
    assert_exports(SPEC.build((3, 27, 38), 5), torch.randn(2, 3, 27, 38))
    with torch.device("meta"):
        network = SPEC.build((3, 27, 38), 5)
    assert cost(SPEC, (3, 27, 38), 5).macs == counted_macs(network, 3, 27, 38)
