"""What a field of a template may be."""

from search_spaces.domains import Categorical, Integer
from search_spaces.share import options


def test_options_of_holes_and_of_values():
    assert options(Categorical(("a", "b"))) == ("a", "b")
    assert options(Integer(1, 3)) == (1, 2, 3)
    assert options("a") == ("a",)
