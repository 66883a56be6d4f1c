"""Templates made ready for walking and filling."""

import pytest

from search_spaces.compiled import compile_points, compile_template
from search_spaces.domains import Categorical, Subset
from search_spaces.errors import SpecError
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
