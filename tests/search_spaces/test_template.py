"""From plain data to templates."""

import json
from typing import Annotated

import pytest
from pydantic import Field

from search_spaces.domains import Categorical, Float, Integer
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.spec import Hole, Spec, hole
from search_spaces.template import preset, presets, template, written
from tests.search_spaces.samples import Engine, Train, train


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
    assert template({"preset": "darts-recipe", "aux": 0}) == template({"preset": "darts-recipe", "aux": 0.0})


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({"a": {"preset": "test-trian"}}, "a: unknown preset, did you mean 'test-train'"),
        ({"a": {"preset": "test-train", "bel": 1}}, "a: unknown key beside preset 'test-train', did you mean 'bell'"),
        ({"a": {"preset": "test-train", "wagons": "x"}}, "^a/wagons: must be an integer; got 'x'$"),
        ({"a": {"preset": "test-train", "wagons": True}}, "^a/wagons: must be an integer; got True$"),
        ({"a": {"preset": "chain", "layers": "abc"}}, "^a/layers: must be an integer; got 'abc'$"),
        ({"a": {"preset": "chain", "skips": "no"}}, "^a/skips: must be true or false; got 'no'$"),
        ({"a": {"preset": "darts-recipe", "aux": "x"}}, "^a/aux: must be a number; got 'x'$"),
        ({"a": {"preset": "darts", "stem": 3}}, "^a/stem: must be a text; got 3$"),
        ({"a": {"preset": "chain", "kernels": 3}}, "a: preset 'chain' refuses its arguments"),
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


class Own(Spec):
    """A spec that no field declares."""

    n: Hole[Annotated[int, Field(ge=0)]] = 0


@pytest.mark.parametrize(
    "made",
    [
        Own(n=hole(Integer(0, 3))),
        (Own(), Float(0.0, 1.0)),
        {"train": train(2), "pick": Categorical({"own": Own(n=hole(Integer(0, 3))), "none": None})},
        {"kind": "no spec", "class": "second"},
    ],
    ids=["spec", "tuple", "nested", "neither"],
)
def test_what_is_written_is_read_as_it_was(made):
    again = template(json.loads(json.dumps(written(made))))
    assert again == made and Space(again).fingerprint == Space(made).fingerprint
    assert written(Own()) == {"class": f"{__name__}:Own", "n": 0}


def test_a_class_below_the_base_may_be_named():
    class Longer(Train):
        """Local, so that it cannot be imported."""

    data = {"class": "tests.search_spaces.samples:Train", "bell": True}
    assert template(data, Train) == Train(bell=True)
    with pytest.raises(SpecError, match="^class: this must be a Engine; got 'tests.search_spaces.samples:Train'"):
        template(data, Engine)
    with pytest.raises(SpecError, match=r"^class: the class of this spec cannot be imported .*<locals>"):
        template(written(Longer()), Train)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({"a": {"class": "no.such:Spec"}}, "^a/class: the class of this spec cannot be imported .*got 'no.such:Spec'"),
        ({"a": {"class": "json:loads"}}, "^a/class: this must be a class below Spec; got 'json:loads'"),
        ({"a": {"class": f"{__name__}:Own", "n": -1}}, "^a/n: out of range; got -1"),
        ({"a": {"class": f"{__name__}:Own", "m": 1}}, "^a: unknown key 'm'"),
        ({"a": {"lgo": True, "float": [0.1, 1.0]}}, "^a: unknown key beside 'float', did you mean 'log'"),
        ({"a": [{"x": {"log": True, "flaot": [0.1, 1.0]}}]}, "^a/0/x: unknown domain, did you mean 'float'"),
    ],
)
def test_a_wrong_class_and_what_is_nearly_a_domain_are_refused(data, match):
    with pytest.raises(SpecError, match=match):
        template(data)
