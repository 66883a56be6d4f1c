"""Views of a candidate, each with its inverse."""

import json

import numpy as np
import pytest

from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.views import from_flat, from_row, from_tokens, to_flat, to_row, to_tokens
from tests.search_spaces.samples import train

SPACE = Space(train(4))
FINITE = Space(train(4, rate=False))


@pytest.mark.parametrize("seed", range(20))
def test_every_view_comes_back(seed):
    candidate = SPACE.sample(np.random.default_rng(seed))
    assert from_flat(SPACE, json.loads(json.dumps(to_flat(SPACE, candidate)))) == candidate
    assert from_row(SPACE, *to_row(SPACE, candidate)) == candidate
    finite = FINITE.sample(np.random.default_rng(seed))
    assert from_tokens(FINITE, to_tokens(FINITE, finite)) == finite


def test_tokens_of_continuous_values_need_bins():
    candidate = SPACE.candidate({"engine": "diesel", "engine/diesel/rate": 0.02, "wagons": 1, "wagons/0/seats": 40,
                                 "wagons/0/behind": ()})  # fmt: skip
    assert to_tokens(SPACE, candidate, bins=4) == (0, 0, 0, 1)
    with pytest.raises(SpecError, match="bins"):
        to_tokens(SPACE, candidate)
    binned = from_tokens(SPACE, (0, 0, 0, 1), bins=4)
    assert to_tokens(SPACE, binned, bins=4) == (0, 0, 0, 1) and binned["engine/diesel/rate"] == pytest.approx(0.0177828)


@pytest.mark.parametrize(
    ("tokens", "match"),
    [((0,), "too few"), ((0, 0, 0, 9), "too many"), ((7,), "not allowed here; got 7; allowed 0, 1")],
)
def test_wrong_tokens_are_refused(tokens, match):
    with pytest.raises(SpecError, match=match):
        from_tokens(FINITE, tokens)


def test_row_has_a_place_for_every_point():
    candidate = SPACE.sample(np.random.default_rng(3))
    values, active = to_row(SPACE, candidate)
    assert len(values) == len(active) == len(SPACE.points()) and sum(active) == len(candidate)
    with pytest.raises(SpecError, match="a row needs"):
        from_row(SPACE, values[1:], active)
