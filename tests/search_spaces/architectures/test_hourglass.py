"""Stacked hourglasses as specs."""

import pytest

from search_spaces.architectures.hourglass import Hourglass
from search_spaces.blocks.base import Feature
from search_spaces.blocks.units import Bottleneck
from search_spaces.errors import SpecError


def test_b11_there_is_a_map_for_each_stack() -> None:
    assert Hourglass(stacks=3, width=16).pyramid() == (Feature(16, 2),) * 3


def test_units_keep_the_width() -> None:
    assert Hourglass(width=16, block=Bottleneck()).plan().width == 4
    with pytest.raises(SpecError, match="width: the units of an hourglass keep its channels, 18; got 16"):
        Hourglass.from_data({"width": 18, "block": "bottleneck"})


def test_the_picture_has_all_parameters() -> None:
    spec = Hourglass(stacks=2, depth=2, width=8)
    graph = spec.draw_graph((3, 32, 32), 5)
    network = spec.build((3, 32, 32), 5)
    assert sum(node.params for node in graph.nodes) == sum(p.numel() for p in network.parameters())
