"""Compositions, prefixes and routes."""

import pytest

from search_spaces.domains import Composition, First, Route
from search_spaces.errors import SpecError


def test_composition_of_stages():
    domain = Composition(16, 4)
    assert domain.contains((1, 3, 5, 7)) and not domain.contains((0, 4, 5, 7)) and not domain.contains((3, 4, 6, 4))
    assert domain.choices_of((3, 4, 6, 3)) == (2, 3, 5, 2)
    assert domain.choices((2, 3, 5)) == (13, tuple(i == 2 for i in range(13)))


def test_first_counts_what_is_below_its_items():
    domain = First(("a", "b", "c"), 1)
    assert domain.weighted({"0": 2, "1": 3, "2": 5}) == 2 + 6 + 30
    assert domain.realized(2, {"1": "built"}) == ("a", "built") and list(domain.active(2)) == ["0", "1"]


def test_route_moves_by_at_most_one_level():
    domain = Route(4, 3, 0)
    assert domain.contains((0, 1, 2)) and domain.contains((1, 0, 0))
    assert not domain.contains((2, 1, 0)) and not domain.contains((0, 1)) and not domain.contains((0, 1, 3))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Composition(3, 4), "total is less"),
        (lambda: Composition(3.0, 2), "whole numbers"),
        (lambda: First((1,), 2), "low <= items"),
        (lambda: Route(4, 3, 4), "start is not a level"),
        (lambda: Route(0, 3), "levels >= 1"),
        (lambda: Composition(8, 4).choices_of((1, 1, 1, 1)), "not a composition"),
        (lambda: First((1, 2)).choices_of(3), "not a number of items"),
        (lambda: Route(4, 2).choices_of((3, 3)), "not a route"),
    ],
)
def test_wrong_sequences_are_refused(make, match):
    with pytest.raises(SpecError, match=match):
        make()
