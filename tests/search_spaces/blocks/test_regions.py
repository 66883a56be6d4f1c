"""Region pooling as specs: channels, refusals, cost."""

import pytest

from search_spaces.blocks.base import Feature
from search_spaces.blocks.regions import DeformableRoi, PsRoiAlign, RegionPooling, RoiAlign
from search_spaces.errors import SpecError

MAPS = (Feature(8, 4), Feature(8, 8))


def test_d11_channels_are_those_over_the_cells_of_a_box() -> None:
    # 8 channels, cells of 2x2: 2 channels.
    assert PsRoiAlign(size=2, width=None).channels(MAPS) == 2
    assert PsRoiAlign(size=7, width=None).channels((Feature(245, 16),)) == 5
    assert PsRoiAlign(size=3, width=4).channels(MAPS) == 4
    assert RoiAlign().channels(MAPS) == DeformableRoi().channels(MAPS) == 8


def test_what_does_not_fit_is_refused_by_path() -> None:
    with pytest.raises(
        SpecError, match="^width: position-sensitive maps are a multiple of the cells of a box, 9; got 8"
    ):
        PsRoiAlign(size=3, width=None).channels(MAPS)
    with pytest.raises(SpecError, match="maps of equal channels"):
        RoiAlign().build((Feature(8, 4), Feature(16, 8)))
    with pytest.raises(SpecError, match="^sampling: "):
        RegionPooling.from_data({"kind": "roi_align", "sampling": 0})


def test_cost_is_counted_without_boxes() -> None:
    plain, moved, sensitive = (pooling.cost(16) for pooling in (RoiAlign(), DeformableRoi(size=5), PsRoiAlign(size=3)))
    assert plain is not None and moved is not None and sensitive is not None
    assert (plain.params, plain.macs) == (0, 0)
    assert (moved.params, moved.macs) == (16 * 25 * 50 + 50, 16 * 25 * 50)
    positions = 16 * 16 + 8 * 8 + 4 * 4 + 2 * 2
    assert (sensitive.params, sensitive.macs) == (16 * 45 + 45, positions * 16 * 45)
