"""Specs of stems and reductions."""

from search_spaces.blocks.normalization import BatchNorm
from search_spaces.blocks.stems import CifarStem, ImagenetStem, ParallelReduction, ParallelStem, StridedStem


def test_b04_strides_and_names_of_layers() -> None:
    assert [stem.stride for stem in (ImagenetStem(), StridedStem(), CifarStem(), ParallelStem())] == [4, 2, 1, 4]
    names = [name for name, _ in ImagenetStem().build(3, 8, BatchNorm()).named_children()]
    assert names == ["conv1", "bn1", "relu", "maxpool"]


def test_b04_channels_of_a_reduction_are_the_sum_of_its_branches() -> None:
    assert ParallelReduction().out_channels(12) == 12 + 6 + 6
