"""The spec of the gated convolution in numbers."""

import pytest

from search_spaces.blocks.gated_conv import GatedConv


@pytest.mark.parametrize(("guide", "count"), [(1, 2248), (32, 2248 + 33)])
def test_a19_parameters(guide: int, count: int) -> None:
    assert sum(p.numel() for p in GatedConv().build(32, guide).parameters()) == count
