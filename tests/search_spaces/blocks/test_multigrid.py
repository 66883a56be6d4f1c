"""The spec of the multigrid neck."""

import pytest

from search_spaces.blocks.base import Feature
from search_spaces.blocks.multigrid import Multigrid
from search_spaces.errors import SpecError

MAPS = (Feature(4, 4), Feature(8, 8), Feature(16, 16))


def test_as_many_scales_come_out_as_are_used() -> None:
    assert Multigrid(width=6).outputs(MAPS) == (Feature(6, 4), Feature(6, 8), Feature(6, 16))
    assert Multigrid(width=6, scales=2).outputs(MAPS) == (Feature(6, 8), Feature(6, 16))


def test_more_scales_than_there_are_are_refused() -> None:
    with pytest.raises(SpecError, match="a multigrid of 4 scales needs a pyramid of 4 maps or more; got 3"):
        Multigrid(scales=4).outputs(MAPS)


def test_each_map_reads_its_neighbours() -> None:
    module = Multigrid(width=6).build(MAPS)
    assert sum(p.numel() for p in module.parameters()) == 9 * 6 * ((4 + 8) + (4 + 8 + 16) + (8 + 16)) + 3 * 6
