"""Specs of global pooling and of classifiers."""

from search_spaces.blocks.base import Feature
from search_spaces.blocks.pooling import GlobalAverage, LinearClassifier

MAPS = (Feature(8, 8), Feature(12, 16))


def test_the_average_is_as_long_as_the_coarsest_map_has_channels() -> None:
    assert GlobalAverage().features(MAPS) == 12


def test_parameters_of_a_linear_classifier() -> None:
    module = LinearClassifier().build(MAPS, 10)
    assert sum(p.numel() for p in module.parameters()) == 12 * 10 + 10
