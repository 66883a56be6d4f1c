"""The one-line error."""

from search_spaces.errors import SpecError, join, nearest, unknown


def test_text_holds_path_rule_value_and_way_out():
    assert str(SpecError("too big", 9, "at most 5", "a/b")) == "a/b: too big; got 9; allowed at most 5"
    assert str(SpecError("required")) == "required"
    assert str(SpecError("bad", None)) == "bad; got None"


def test_text_is_one_short_line():
    text = str(SpecError("bad\nrule", "x" * 500))
    assert "\n" not in text and len(text) < 120


def test_path_grows_from_the_left():
    assert str(SpecError("r", path="c").at("a", "", "b")) == "a/b/c: r"
    assert join("", "a", 0) == "a/0"


def test_nearest_known_name():
    assert nearest("reinforc", ["random", "reinforce"]) == "reinforce"
    assert nearest("zzz", ["random"]) is None
    text = str(unknown("block", "se2", ["se", "eca"]))
    assert text == "unknown block, did you mean 'se'?; got 'se2'; allowed eca, se"
