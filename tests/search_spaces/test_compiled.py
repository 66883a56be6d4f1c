"""Templates made ready for walking and filling."""

import pytest

from search_spaces.compiled import compile_points, compile_template
from search_spaces.domains import Categorical, Subset
from search_spaces.errors import SpecError
from search_spaces.spec import Hole, Spec, hole
from tests.search_spaces.samples import Diesel, train


def test_points_form_a_tree_by_label():
    engine, wagons = compile_points(train(2))
    assert set(engine.branches) == {"diesel", "electric"} and set(wagons.branches) == {"0", "1"}
    assert wagons.branches["1"][1].decision.domain.option_values == (0,)


def test_a_reference_needs_its_tuple():
    with pytest.raises(SpecError, match="x: `of` names no tuple"):
        compile_points({"x": Subset((), of="layers")})


def test_parts_without_holes_are_shared():
    part = Diesel()
    build = compile_template({"part": part, "n": Categorical((1, 2))})
    assert build({"n": 2})["part"] is part and build({"n": 2})["n"] == 2


def test_one_of_the_earlier_items_needs_an_earlier_item():
    items = ({"from": Categorical((), of="items")}, {"from": Categorical((), of="items")})
    with pytest.raises(SpecError, match=r"^items/0/from: the first of the items has none before it to choose from"):
        compile_points({"items": items})
    with pytest.raises(SpecError, match=r"^items/0/from"):
        compile_template({"items": items})
    (point,) = compile_points({"items": ({}, items[1])})
    assert point.decision.domain.option_values == (0,)


def test_a_joint_rule_keeps_its_parts_below_the_path_of_its_spec():
    class Pair(Spec):
        left: Hole[int] = 0
        right: Hole[int] = 0

        def check(self):
            if self.left > self.right:
                raise SpecError("left is at most right", self.left, f"0 to {self.right}", "left")

    build = compile_template({"pair": Pair(left=hole(Categorical((1, 2))))})
    with pytest.raises(SpecError) as refused:
        build({"pair/left": 2})
    assert (refused.value.path, refused.value.rule) == ("pair/left", "left is at most right")
    assert str(refused.value) == "pair/left: left is at most right; got 2; allowed 0 to 0"
