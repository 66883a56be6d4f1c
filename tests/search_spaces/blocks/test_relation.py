"""Specs of relations."""

import pytest

from search_spaces.blocks.relation import ObjectRelation, Relation
from search_spaces.errors import SpecError
from search_spaces.spec import kinds


def test_a_relation_is_found_by_its_kind_and_stands_at_no_map() -> None:
    assert kinds(Relation)["object_relation"] is ObjectRelation
    block = ObjectRelation()
    assert (block.takes, block.gives) == ("regions", "sequence")
    assert block.example() is None


def test_one_box_reads_itself() -> None:
    found = ObjectRelation(relations=4, key=8).cost(16)
    assert found is not None
    linear = 2 * 16 * 32 + 16 * 16 + 64 * 4
    assert (found.params, found.macs) == (linear, linear + 32 + 16)  # and a product of keys, and of values


def test_relations_have_to_divide_the_channels() -> None:
    ObjectRelation(relations=5).check_channels(20)
    for refused in (ObjectRelation().check_channels, ObjectRelation().build):
        with pytest.raises(SpecError, match="^relations: .* channels of the features, 20; got 16; allowed 1, 2, 4, 5,"):
            refused(20)


@pytest.mark.parametrize("fields", [{"relations": 0}, {"key": 0}])
def test_impossible_fields_are_refused(fields) -> None:
    with pytest.raises(SpecError, match=f"^{next(iter(fields))}: "):
        ObjectRelation.from_data(fields)
