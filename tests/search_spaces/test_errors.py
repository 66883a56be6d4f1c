"""The one-line error."""

from search_spaces.errors import SpecError, join, listed, nearest, unknown


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


def test_of_many_names_the_first_are_listed() -> None:
    names = [f"t{i:06d}" for i in range(100)]
    assert listed(names).startswith("t000000, ") and listed(names).endswith("t000059, and 40 more")
    assert (listed(names[:2]), listed([]), listed(names[:3], 2)) == (
        "t000000, t000001",
        "none",
        "t000000, t000001, and 1 more",
    )
    assert len(str(unknown("trial", "t9", names))) < 1000
