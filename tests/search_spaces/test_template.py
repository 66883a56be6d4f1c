"""From plain data to templates."""

import pytest

from search_spaces.domains import Categorical, Float
from search_spaces.errors import SpecError
from search_spaces.template import preset, presets, template
from tests.search_spaces.samples import Train, train


@preset("test-train")
def make_train(wagons: int = 3) -> Train:
    """A preset."""
    return train(wagons)


def test_plain_data_becomes_a_template():
    made = template({"a": {"float": [0, 1]}, "b": [1, {"categorical": {"x": {"n": {"integer": [1, 2]}}, "y": 2}}]})
    assert made["a"] == Float(0.0, 1.0) and isinstance(made["b"], tuple) and isinstance(made["b"][1], Categorical)


def test_preset_takes_arguments_and_overrides():
    made = template({"preset": "test-train", "wagons": 2, "bell": True}, Train)
    assert made == train(2).model_copy(update={"bell": True})
    assert template({"train": {"preset": "test-train"}})["train"]["bell"] is None
    assert presets()["test-train"] is make_train


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({"a": {"preset": "test-trian"}}, "a: unknown preset, did you mean 'test-train'"),
        ({"a": {"preset": "test-train", "bel": 1}}, "a: unknown key beside preset 'test-train', did you mean 'bell'"),
        ({"a": {"preset": "test-train", "wagons": "x"}}, "a: preset 'test-train' refuses its arguments"),
        ({"a": [{"float": [1, 0]}]}, "a/0: float needs finite"),
        ({"a": {"categorical": {"x": {"float": [1, 0]}}}}, "a/x: float needs finite"),
    ],
)
def test_wrong_templates_are_refused_with_their_path(data, match):
    with pytest.raises(SpecError, match=match):
        template(data)


def test_two_presets_of_one_name_are_an_error():
    with pytest.raises(TypeError, match="two presets are called"):
        preset("test-train")(lambda: None)
