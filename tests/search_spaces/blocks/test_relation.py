"""The base of relations."""

from search_spaces.blocks.relation import Relation


def test_it_is_called_with_features_and_boxes() -> None:
    assert (Relation.takes, Relation.gives) == ("regions", "sequence")
