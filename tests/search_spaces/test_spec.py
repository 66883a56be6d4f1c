"""Specs: kinds, holes, JSON and YAML, and what they refuse."""

from typing import Literal

import pytest

from search_spaces.domains import Categorical, Float
from search_spaces.spec import Spec, SpecError, first_hole, hole, holes, kinds
from tests.search_spaces.samples import Diesel, Electric, Engine, Train, Wagon, train


def test_kind_names_the_subclass():
    made = Train.from_data({"engine": {"kind": "electric", "volts": 800}})
    assert made.engine == Electric(volts=800)
    assert kinds(Engine) == {"diesel": Diesel, "electric": Electric}


def test_a_bare_name_stands_for_the_kind_with_its_defaults():
    assert Train.from_data({"engine": "diesel"}).engine == Diesel()
    with pytest.raises(SpecError, match="engine: unknown kind of engine, did you mean 'diesel'"):
        Train.from_data({"engine": "deisel"})


def test_two_alike_kinds_are_an_error():
    with pytest.raises(TypeError, match="two kinds of Engine are called 'diesel'"):

        class Other(Engine):
            kind: Literal["diesel"] = "diesel"


@pytest.mark.parametrize("made", [Train(), train(), train(rate=False)], ids=["concrete", "holes", "finite"])
def test_round_trip_through_json_and_yaml(made):
    assert Train.from_json(made.to_json()) == made
    assert Train.from_yaml(made.to_yaml()) == made
    assert made.to_data()["engine"] is not None


def test_yaml_is_version_1_2():
    made = Diesel.from_yaml("kind: diesel\nrate: 1e-3\n")
    assert made.rate == 1e-3


def test_a_spec_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Diesel().rate = 3.0


def test_holes_are_listed_by_path():
    assert [path for path, _ in holes(train())] == ["engine", "wagons"]
    assert first_hole(Train()) is None and first_hole(Diesel(rate=hole(Float(0.1, 1.0)))) == "rate"


def test_joint_rule_is_checked_on_concrete_specs_only():
    with pytest.raises(SpecError, match="a long train has no bell"):
        Train.from_data({"bell": True, "wagons": [{}] * 4})
    Train(bell=hole(Categorical((None, True))), wagons=(Wagon(),) * 4)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"engin": {}}, "unknown key 'engin', did you mean 'engine'?; allowed engine, bell, wagons"),
        ({"engine": {"kind": "dissel"}},
         "engine: unknown kind of engine, did you mean 'diesel'?; got 'dissel'; allowed diesel, electric"),
        ({"engine": {"rate": 3}}, "engine: the engine needs its kind; allowed kind: diesel, electric"),
        ({"engine": {"kind": "diesel", "rte": 3}},
         "engine: unknown key 'rte', did you mean 'rate'?; allowed kind, rate, cylinders"),
        ({"engine": {"kind": "diesel", "rate": -3}},
         "engine/rate: out of range; got -3; allowed above 0 and at most 10"),
        ({"engine": {"kind": "diesel", "cylinders": 0}}, "engine/cylinders: out of range; got 0; allowed at least 1"),
        ({"engine": {"kind": "diesel", "rate": {"float": [0.0, 1.0]}}},
         "engine/rate/low: out of range; got 0.0; allowed above 0 and at most 10"),
        ({"engine": {"kind": "diesel", "rate": {"float": [1.0, 99.0]}}},
         "engine/rate/high: out of range; got 99.0; allowed above 0 and at most 10"),
        ({"engine": {"categorical": [{"kind": "electric"}, {"kind": "diesel", "rate": {"float": [0.0, 1.0]}}]}},
         "engine/diesel/rate/low: out of range; got 0.0; allowed above 0 and at most 10"),
        ({"engine": {"categorical": [{"kind": "diesel"}, {"kind": "diesel"}]}},
         "engine: two options have the same label: give them names; got 'diesel'; allowed {name: option, ...}"),
        ({"wagons": {"first": [{"seats": {"categorical": [1, "x"]}}]}},
         "wagons/0/seats/x: must be a valid integer, unable to parse string as an integer; got 'x'"),
        ({"engine": 5}, "engine: must be a mapping; got 5"),
        ({"engine": {"kind": "diesel", "rate": {"float": [0.1, 1.0], "lgo": True}}},
         "engine/rate: unknown key beside 'float', did you mean 'log'?; got 'lgo'; allowed log"),
        ({"engine": {"kind": "diesel", "rate": {"log": True, "flaot": [0.1, 1.0]}}},
         "engine/rate: unknown domain, did you mean 'float'?; got 'flaot'; "
         "allowed categorical, composition, first, float, integer, route, subset"),
        ({"bell": "perhaps"}, "bell: must be a valid boolean, unable to interpret input; got 'perhaps'"),
        ({"engine": {"kind": "diesel", "rate": float("nan")}}, "engine/rate: must be a finite number; got nan"),
    ],
)  # fmt: skip
def test_refusals_are_one_line_with_path_rule_and_way_out(data, text):
    with pytest.raises(SpecError) as refused:
        Train.from_data(data)
    assert str(refused.value) == text


def test_a_joint_rule_names_the_path_below_its_spec():
    class Doubled(Spec):
        inner: Wagon = Wagon()

        def check(self) -> None:
            raise SpecError("too many", self.inner.seats, "fewer", "inner/seats")

    class Outer(Spec):
        doubled: Doubled

    with pytest.raises(SpecError) as refused:
        Outer.from_data({"doubled": {"inner": {"seats": 9}}})
    assert str(refused.value) == "doubled/inner/seats: too many; got 9; allowed fewer" and refused.value.path


def test_a_base_without_kinds_is_read_as_it_is():
    class Plain(Spec):
        n: int = 1

    assert Plain.from_data({"n": 2}).n == 2


def test_a_domain_may_be_written_in_any_order():
    made = Diesel.from_data({"kind": "diesel", "rate": {"log": True, "float": [0.1, 1.0]}})
    assert made.rate == Float(0.1, 1.0, log=True)
