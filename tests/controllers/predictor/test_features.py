"""Distances between candidates: shares of options that differ, numbers, and paths."""

from typing import Any

import numpy as np
import pytest

from controllers.predictor.features import Encoder
from search_spaces.candidate import Candidate
from search_spaces.domains import Categorical, Composition, Float, Integer, Subset
from search_spaces.space import Space
from search_spaces.spec import hole
from tests.contracts.controller_scenario import mixed_space
from tests.controllers.landscapes import Word


def _rows(space: Space, *candidates: dict[str, Any]) -> Any:
    return Encoder(space).rows([space.candidate(candidate) for candidate in candidates])


def test_options_are_apart_by_the_share_that_differs() -> None:
    space = Space({"a": Categorical(("x", "y", "z")), "b": Categorical((1, 2)), "c": Subset(("p", "q", "r", "s"))})
    rows = _rows(
        space,
        {"a": "x", "b": 1, "c": ("p",)},
        {"a": "z", "b": 1, "c": ("p",)},
        {"a": "z", "b": 2, "c": ("p", "q", "r")},
    )
    expected = np.array([[0, 1, 2.5], [1, 0, 1.5], [2.5, 1.5, 0]]) / 3
    assert rows.hamming(rows) == pytest.approx(expected, abs=1e-12)
    assert rows.numbers.shape == (3, 0)


def test_a_decision_that_only_one_has_differs() -> None:
    rule = Categorical({"off": {}, "on": {"n": Integer(1, 5), "mode": Categorical(("u", "v"))}})
    rows = _rows(
        Space({"rule": rule}),
        {"rule": "off"},
        {"rule": "on", "rule/on/n": 1, "rule/on/mode": "u"},
        {"rule": "on", "rule/on/n": 5, "rule/on/mode": "v"},
    )
    assert rows.hamming(rows) == pytest.approx(np.array([[0, 1, 1], [1, 0, 1 / 3], [1, 1 / 3, 0]]), abs=1e-12)
    assert rows.numbers.tolist() == [[0.5], [0.0], [1.0]]


def test_numbers_are_apart_by_their_scales() -> None:
    space = Space({"lr": Float(0.01, 1.0, log=True), "n": Integer(0, 10), "parts": Composition(4, 2)})
    rows = _rows(space, {"lr": 0.01, "n": 0, "parts": (1, 3)}, {"lr": 0.1, "n": 5, "parts": (3, 1)})
    found = rows.squares(rows, np.array([0.5, 0.25, 1.0, 1.0]))
    assert found == pytest.approx(np.array([[0, 1 + 4 + 0.5], [5.5, 0]]), abs=1e-12)
    assert rows.hamming(rows).max() == 0


def test_paths_are_apart_by_the_share_that_one_has_alone() -> None:
    texts = ("a_b+a_b+c", "a_b+c", "d")
    rows = _rows(Space(Word(text=hole(Categorical(texts)))), *({"text": text} for text in texts))
    paths, operations = rows.apart(rows)
    assert paths == pytest.approx(np.array([[0, 0.2, 1], [0.2, 0, 1], [1, 1, 0]]), abs=1e-12)
    assert operations == pytest.approx(np.array([[0, 0.25, 1], [0.25, 0, 1], [1, 1, 0]]), abs=1e-12)
    both = Encoder(Space({"a": Categorical((1, 2))}))
    plain = both.rows([Candidate({"a": 1}), Candidate({"a": 2})])
    assert [apart.tolist() for apart in plain.apart(plain)] == [[[0, 0], [0, 0]]] * 2


def test_operations_stand_behind_the_prefix_of_their_spec() -> None:
    word = Word(text=hole(Categorical(("a_b", "b_a", "b"))))
    rows = _rows(Space({"x": word, "y": word}), {"x/text": "a_b", "y/text": "b"}, {"x/text": "b_a", "y/text": "b"})
    paths, operations = rows.apart(rows)
    assert (paths[0, 1], operations[0, 1]) == (0.5, 0.0)


def test_every_domain_is_encoded_and_forgetting_changes_nothing() -> None:
    space, rng = mixed_space(), np.random.default_rng(0)
    candidates = [space.sample(rng) for _ in range(60)]
    whole, little = Encoder(space).rows(candidates), Encoder(space, keep=7)
    for _ in range(2):
        assert np.array_equal(little.rows(candidates).options, whole.options)
        assert np.array_equal(little.rows(candidates).numbers, whole.numbers)
    apart = whole.hamming(whole) + whole.squares(whole, np.ones(whole.numbers.shape[1]))
    same = np.array([[a == b for b in candidates] for a in candidates])
    assert np.array_equal(apart < 1e-12, same)
