"""Candidates: identity, equality and JSON."""

import pytest

from search_spaces.candidate import Candidate


def test_equality_is_by_type_and_value_and_ignores_order():
    a = Candidate({"x": 1, "y": (1, "a")})
    assert a == Candidate({"y": (1, "a"), "x": 1}) and hash(a) == hash(Candidate({"y": (1, "a"), "x": 1}))
    assert a != Candidate({"x": 1.0, "y": (1, "a")}) and a != Candidate({"x": True, "y": (1, "a")}) and a != {"x": 1}


def test_id_is_a_short_hash_of_the_canonical_json():
    a = Candidate({"b": (1, 2), "a": None})
    assert a.to_json() == '{"a":null,"b":[1,2]}'
    assert a.id == Candidate.from_json(a.to_json()).id and len(a.id) == 12
    assert a.id != Candidate({"b": (1, 2), "a": 0}).id


def test_json_and_back_keeps_types():
    a = Candidate({"a": 1, "b": 1.0, "c": True, "d": None, "e": ("x", 2), "f": "s"})
    assert Candidate.from_json(a.to_json()) == a


def test_a_candidate_cannot_be_changed():
    a = Candidate({"a": 1})
    with pytest.raises(TypeError):
        a["a"] = 2  # type: ignore[index]
