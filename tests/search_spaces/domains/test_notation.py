"""Domains as plain data, both ways."""

import re

import pytest

from search_spaces.domains import Categorical, Composition, First, Float, Integer, Route, Subset, notation
from search_spaces.errors import SpecError

DOMAINS = [
    Categorical((None, 1, "x")),
    Categorical({"a": 1, "b": 2}),
    Categorical((), of="layers"),
    Subset((1, 2, 3), 1, 2),
    Subset((), of="layers"),
    Integer(1, 9, 2),
    Float(0.1, 1.0, log=True),
    Composition(16, 4),
    First((1, 2)),
    Route(4, 12),
]


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda d: str(d)[:40])
def test_data_and_back(domain):
    data = notation.to_data(domain, lambda option: option)
    assert notation.is_domain(data)
    assert notation.from_data(data) == domain


def test_not_every_mapping_is_a_domain():
    assert not notation.is_domain({}) and not notation.is_domain({"kind": "x"}) and not notation.is_domain([1])


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({"float": 3}, r"two numbers; got 3; allowed \[low, high\]"),
        ({"integer": [1]}, "two numbers"),
        ({"categorical": 5}, "needs options"),
        ({"composition": 16}, "needs 'parts'"),
        ({"route": 4}, "needs 'length'"),
        ({"first": 3}, "needs a list"),
    ],
)
def test_wrong_notation_is_refused(data, match):
    with pytest.raises(SpecError, match=match):
        notation.from_data(data)


@pytest.mark.parametrize(
    ("data", "domain"),
    [
        ({"log": True, "float": [0.01, 1.0]}, Float(0.01, 1.0, log=True)),
        ({"low": 1, "high": 2, "subset": [1, 2, 3]}, Subset((1, 2, 3), 1, 2)),
        ({"parts": 4, "composition": 16}, Composition(16, 4)),
    ],
)
def test_the_order_of_keys_means_nothing(data, domain):
    assert notation.is_domain(data) and notation.from_data(data) == domain


@pytest.mark.parametrize(
    "data",
    [
        {"first": {"kind": "adam"}, "kind": "two_phase"},
        {"first": [1, 2], "kind": "pair"},
        {"first": {"kind": "adam"}, "second": {"kind": "sgd"}},
        {"first": 1, "last": 2},
        {"low": 1, "high": 2},
        {"floats": [1.0, 2.0]},
        {"log": True, "rate": [0.1, 1.0]},
    ],
    ids=str,
)
def test_other_mappings_may_have_such_keys(data):
    assert not notation.is_domain(data) and notation.near_miss(data) is None


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({"float": [0, 1], "lgo": True}, "unknown key beside 'float', did you mean 'log'"),
        ({"lgo": True, "float": [0, 1]}, "unknown key beside 'float', did you mean 'log'"),
        ({"float": [0, 1], "step": 0.1}, "unknown key beside 'float'; got 'step'; allowed log"),
        ({"float": [0, 1], "integer": [0, 1]}, "unknown key beside 'float'; got 'integer'"),
        ({"categorical": {"a": 1}, "note": "x"}, "unknown key beside 'categorical'; got 'note'; allowed of"),
        ({"log": True, "flaot": [0.1, 1.0]}, "unknown domain, did you mean 'float'"),
        ({"compositoin": 16, "parts": 4}, "unknown domain, did you mean 'composition'"),
    ],
    ids=str,
)
def test_near_misses_are_named(data, match):
    assert not notation.is_domain(data)
    assert re.search(match, str(notation.near_miss(data)))
