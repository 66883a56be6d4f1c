"""Domains as plain data, both ways."""

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
        ({"float": [0, 1], "lgo": True}, "did you mean 'log'"),
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
